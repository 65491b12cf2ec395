-- Revenue per event and currency of a period: from is inside, to is outside.
-- gross is what the provider captured in the period, refunds what it gave back
-- in it, fees what it kept of what it captured, net = gross - refunds - fees; the
-- day of money is the provider's. orders are registrations that were confirmed
-- in the period and still stand, tickets their lines that were not cancelled.
-- event 'all' and currency 'all' leave nothing out; test_mode brings test sales in.
SELECT
    sums.event_id                   AS event_id,
    catalog.name                    AS event,
    sums.currency                   AS currency,
    sums.gross                      AS gross_minor,
    sums.refunds                    AS refunds_minor,
    sums.fees                       AS fees_minor,
    sums.gross - sums.refunds - sums.fees AS net_minor,
    sums.orders                     AS orders,
    sums.tickets                    AS tickets
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
            if(captured_at >= {from:DateTime64(3)} AND captured_at < {to:DateTime64(3)}, captured_minor, 0) AS gross,
            arraySum((amount, status, at) -> if(status = 'done' AND at >= {from:DateTime64(3)} AND at < {to:DateTime64(3)}, amount, 0),
                refunds.amount_minor, refunds.status, refunds.refunded_at) AS refunds,
            if(captured_at >= {from:DateTime64(3)} AND captured_at < {to:DateTime64(3)}, fee_minor, 0) AS fees,
            toInt64(0) AS orders,
            toInt64(0) AS tickets
        FROM payments FINAL
        WHERE captured_minor > 0
          AND (NOT test_mode OR {test_mode:Bool})
          AND ({event:String} = 'all' OR toString(event_id) = {event:String})
          AND ({currency:String} = 'all' OR currency = {currency:String})
        UNION ALL
        SELECT
            event_id,
            currency,
            toInt64(0) AS gross,
            toInt64(0) AS refunds,
            toInt64(0) AS fees,
            toInt64(1) AS orders,
            arraySum((quantity, cancelled) -> if(cancelled, 0, toInt64(quantity)), lines.quantity, lines.cancelled) AS tickets
        FROM registrations FINAL
        WHERE outcome = 'confirmed'
          AND decided_at >= {from:DateTime64(3)} AND decided_at < {to:DateTime64(3)}
          AND (NOT test_mode OR {test_mode:Bool})
          AND ({event:String} = 'all' OR toString(event_id) = {event:String})
          AND ({currency:String} = 'all' OR currency = {currency:String})
    )
    GROUP BY event_id, currency
    HAVING gross != 0 OR refunds != 0 OR fees != 0 OR orders != 0
) AS sums
LEFT JOIN (SELECT event_id, name FROM catalog_events FINAL) AS catalog ON catalog.event_id = sums.event_id
ORDER BY currency, event, event_id
