package verify

import "github.com/eventpro/boxoffice/reports"

// checkReports: I4, the total of every report that shows money is what payments
// come to, which the ledger was held against; and the open items balance.
func (w *world) checkReports() {
	ours := map[string]reports.Money{}
	for k, s := range w.books {
		currency := w.symbols.name(k.currency)
		m := ours[currency]
		ours[currency] = reports.Money{Charged: m.Charged + s.captured, Refunded: m.Refunded + s.refunded, Fees: m.Fees + s.fee}
	}
	for _, t := range w.reported {
		for _, d := range t.Differences(ours) {
			w.found.fail("I4", "%s", d)
		}
	}
	if w.unbalanced != "" {
		w.found.fail("I4", "%s", w.unbalanced)
	}
	w.found.checked("I4", len(w.reported))
	w.found.detail("I4", "%v reports compared", len(w.reported))
}
