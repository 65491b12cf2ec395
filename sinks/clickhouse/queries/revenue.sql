-- Revenue per event and currency of a period: from is inside, to is outside. The
-- date of money is the day of its booking, or with the basis 'occurred' the
-- provider's. gross is what was captured in the period, refunds what was given back
-- in it, fees what the provider keeps of what it captured, net = gross - refunds -
-- fees. orders and tickets were confirmed in the period, whatever became of them
-- later. organiser, event and currency 'all' leave nothing out; test_mode brings
-- test sales in.
SELECT
    sums.event_id                         AS event_id,
    catalog.name                          AS event,
    sums.currency                         AS currency,
    sums.gross                            AS gross_minor,
    sums.refunds                          AS refunds_minor,
    sums.fees                             AS fees_minor,
    sums.gross - sums.refunds - sums.fees AS net_minor,
    sums.orders                           AS orders,
    sums.tickets                          AS tickets
FROM
(
    SELECT
        event_id,
        currency,
        sum(gross)   AS gross,
        sum(refunds) AS refunds,
        sum(fees)    AS fees,
        sum(orders)  AS orders,
        sum(tickets) AS tickets
    FROM
    (
        SELECT
            event_id,
            currency,
            if(kind = 'charge', amount_minor, 0) AS gross,
            if(kind = 'refund', amount_minor, 0) AS refunds,
            if(kind = 'charge', fee_minor, 0)    AS fees,
            toInt64(0) AS orders,
            toInt64(0) AS tickets
        FROM movements FINAL
        WHERE {{template "moved"}}
          AND {{template "scope"}}
        UNION ALL
        SELECT
            event_id,
            currency,
            toInt64(0) AS gross,
            toInt64(0) AS refunds,
            toInt64(0) AS fees,
            toInt64(1) AS orders,
            toInt64(arraySum(lines.quantity)) AS tickets
        FROM registrations FINAL
        WHERE {{template "stands"}}
          AND decided_at >= {from:DateTime64(3)} AND decided_at < {to:DateTime64(3)}
          AND {{template "scope"}}
    )
    GROUP BY event_id, currency
) AS sums
LEFT JOIN (SELECT event_id, name FROM catalog_events FINAL) AS catalog ON catalog.event_id = sums.event_id
ORDER BY currency, event, event_id
SETTINGS {{template "final"}}
