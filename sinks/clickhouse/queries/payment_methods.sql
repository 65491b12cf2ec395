-- Money by payment provider, method and currency of a period: from is inside, to is
-- outside. The date of money is the day of its booking, or with the basis
-- 'occurred' the provider's. charges is the number of payments captured, gross
-- their amount and average the amount of one, fees what the provider keeps of it,
-- refunds what was given back; net = gross - refunds - fees. declined is the number of payments that the provider
-- refused in the period, by the time at which that was known.
SELECT
    provider,
    method,
    currency,
    toInt64(countIf(what = 'captured')) AS charges,
    sum(gross)    AS gross_minor,
    sum(refunds)  AS refunds_minor,
    sum(fees)     AS fees_minor,
    gross_minor - refunds_minor - fees_minor AS net_minor,
    if(charges = 0, NULL, intDiv(2 * gross_minor + charges, 2 * charges)) AS average_minor,
    toInt64(countIf(what = 'declined')) AS declined
FROM
(
    SELECT
        toString(provider) AS provider,
        toString(method)   AS method,
        toString(currency) AS currency,
        ''                 AS what,
        if(kind = 'charge', amount_minor, 0) AS gross,
        if(kind = 'refund', amount_minor, 0) AS refunds,
        if(kind = 'charge', fee_minor, 0)    AS fees
    FROM movements FINAL
    WHERE {{template "moved"}}
      AND {{template "scope"}}
    UNION ALL
    SELECT
        toString(provider) AS provider,
        toString(method)   AS method,
        toString(currency) AS currency,
        toString(if(status = 'declined', status, 'captured')) AS what,
        toInt64(0)         AS gross,
        toInt64(0)         AS refunds,
        toInt64(0)         AS fees
    FROM payments FINAL
    WHERE (status = 'declined' OR captured_minor > 0)
      AND if(status = 'declined', changed_at, if({basis:String} = 'occurred', captured_at, booked_at)) >= {from:DateTime64(3)}
      AND if(status = 'declined', changed_at, if({basis:String} = 'occurred', captured_at, booked_at)) < {to:DateTime64(3)}
      AND {{template "scope"}}
)
GROUP BY provider, method, currency
ORDER BY currency, provider, method
SETTINGS {{template "final"}}
