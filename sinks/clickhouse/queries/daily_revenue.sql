-- Revenue per day of the time zone and currency, of a period: from is inside,
-- to is outside; days on which nothing happened have no row. The date of money is
-- the day of its booking, or with the basis 'occurred' the provider's. gross is
-- what was captured, discounts what was taken off the prices of it, fees what the
-- provider keeps of it, refunds what was given back; tax is that within gross minus
-- that within refunds; net = gross - refunds - fees. orders and tickets were
-- confirmed on the day, whatever became of them later.
SELECT
    toString(date) AS day,
    currency,
    sum(gross)                            AS gross_minor,
    sum(discounts)                        AS discounts_minor,
    sum(tax)                              AS tax_minor,
    sum(fees)                             AS fees_minor,
    sum(refunds)                          AS refunds_minor,
    gross_minor - refunds_minor - fees_minor AS net_minor,
    sum(orders)                           AS orders,
    sum(tickets)                          AS tickets
FROM
(
    SELECT
        toDate(if({basis:String} = 'occurred', occurred_at, booked_at), {zone:String}) AS date,
        currency,
        if(kind = 'charge', amount_minor, 0)        AS gross,
        if(kind = 'charge', discount_minor, 0)      AS discounts,
        if(kind = 'charge', tax_minor, -tax_minor)  AS tax,
        if(kind = 'charge', fee_minor, 0)           AS fees,
        if(kind = 'refund', amount_minor, 0)        AS refunds,
        toInt64(0) AS orders,
        toInt64(0) AS tickets
    FROM movements FINAL
    WHERE {{template "moved"}}
      AND {{template "scope"}}
    UNION ALL
    SELECT
        toDate(decided_at, {zone:String}) AS date,
        currency,
        toInt64(0) AS gross,
        toInt64(0) AS discounts,
        toInt64(0) AS tax,
        toInt64(0) AS fees,
        toInt64(0) AS refunds,
        toInt64(1) AS orders,
        toInt64(arraySum(lines.quantity)) AS tickets
    FROM registrations FINAL
    WHERE {{template "stands"}}
      AND decided_at >= {from:DateTime64(3)} AND decided_at < {to:DateTime64(3)}
      AND {{template "scope"}}
)
GROUP BY date, currency
ORDER BY currency, date
SETTINGS {{template "final"}}
