-- Sales by region, channel and currency of a period: from is inside, to is outside.
-- The date of money is the day of its booking, or with the basis 'occurred' the
-- provider's. orders and tickets were confirmed in the period, whatever became of
-- them later. gross was captured in it, refunds were given back in it, fees are what
-- the provider keeps; net = gross - refunds - fees.
SELECT
    region,
    channel,
    currency,
    sum(orders)  AS orders,
    sum(tickets) AS tickets,
    sum(gross)   AS gross_minor,
    sum(refunds) AS refunds_minor,
    sum(fees)    AS fees_minor,
    gross_minor - refunds_minor - fees_minor AS net_minor
FROM
(
    SELECT
        region,
        channel,
        currency,
        toInt64(0) AS orders,
        toInt64(0) AS tickets,
        if(kind = 'charge', amount_minor, 0) AS gross,
        if(kind = 'refund', amount_minor, 0) AS refunds,
        if(kind = 'charge', fee_minor, 0)    AS fees
    FROM movements FINAL
    WHERE {{template "moved"}}
      AND {{template "scope"}}
    UNION ALL
    SELECT
        region,
        channel,
        currency,
        toInt64(1) AS orders,
        toInt64(arraySum(lines.quantity)) AS tickets,
        toInt64(0) AS gross,
        toInt64(0) AS refunds,
        toInt64(0) AS fees
    FROM registrations FINAL
    WHERE {{template "stands"}}
      AND decided_at >= {from:DateTime64(3)} AND decided_at < {to:DateTime64(3)}
      AND {{template "scope"}}
)
GROUP BY region, channel, currency
ORDER BY currency, region, channel
SETTINGS {{template "final"}}
