package reports

import "github.com/eventpro/boxoffice/reports/statement"

// The dates that figures go by.
const (
	byBasis    = "the date of the booking, or the provider's if the basis is occurred"
	byBooking  = "the date of the booking"
	byDecision = "the moment of the decision"
	byRequest  = "the moment at which the request was accepted"
	byNow      = "as of now, whatever the period"
)

// The columns that several reports have. A figure has one meaning wherever it
// stands.
var (
	eventColumn    = statement.Column{Name: "event", Heading: "Event", Kind: statement.Text, About: "Name of the event, as it is now."}
	eventIDColumn  = statement.Column{Name: "event_id", Heading: "Event id", Kind: statement.Text, Hidden: true, About: "Id of the event."}
	currencyColumn = statement.Column{Name: "currency", Heading: "Currency", Kind: statement.Text, About: "ISO 4217 code of the amounts in the row."}
	grossColumn    = statement.Column{
		Name: "gross", Heading: "Gross", Kind: statement.Money, Dated: byBasis,
		About: "Money that was captured in the period, taxes included and discounts taken off.",
	}
	discountsColumn = statement.Column{
		Name: "discounts", Heading: "Discounts", Kind: statement.Money, Dated: byBasis,
		About: "What was taken off the prices of what gross was paid for; no part of gross. An order that is free by a discount moves no money and is not in it.",
	}
	taxColumn = statement.Column{
		Name: "tax", Heading: "Tax", Kind: statement.Money, Dated: byBasis,
		About: "Tax within gross minus tax within refunds. It was rounded once per line of an order, half away from zero; a refund's tax is its line's.",
	}
	feesColumn = statement.Column{
		Name: "fees", Heading: "Fees", Kind: statement.Money, Dated: byBasis,
		About: "What the payment provider keeps of gross. It does not give fees back with a refund.",
	}
	refundsColumn = statement.Column{
		Name: "refunds", Heading: "Refunds", Kind: statement.Money, Dated: byBasis,
		About: "Money that was given back in the period, whenever it was captured.",
	}
	netColumn = statement.Column{
		Name: "net", Heading: "Net", Kind: statement.Money, Dated: byBasis,
		About: "Gross - refunds - fees; taxes are still within it.",
	}
	ordersColumn = statement.Column{
		Name: "orders", Heading: "Orders", Kind: statement.Count, Dated: byDecision,
		About: "Orders that were confirmed in the period, free ones included and whatever became of them later: a cancellation is a refund of its own day.",
	}
	ticketsColumn = statement.Column{Name: "tickets", Heading: "Tickets", Kind: statement.Count, Dated: byDecision, About: "Tickets of these orders."}
)

// dated is the note of what the date of money is.
const dated = "Money is dated by the day it was booked, so a closed period never changes: what becomes known later is in the period in which it did. " +
	"With the basis occurred it is dated by the payment provider's clock instead. Test sales are left out unless asked for, imported ones are in."
