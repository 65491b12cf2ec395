-- How each event sells. Seats are those of now: capacity is what the open blocks
-- have, sold and held what is taken of it. gross, refunds, fees, charges (payments
-- captured), orders and tickets (confirmed, whatever became of them later), first
-- and last sale are of the period, average is the gross of a charge: from is inside, to is outside; the date of money
-- is the day of its booking, or with the basis 'occurred' the provider's.
-- sold_out_after is the time from the beginning of the sale to the order that took
-- the last seat; NULL while there is one left or when the beginning is not known.
SELECT
    sums.event_id                         AS event_id,
    catalog.name                          AS event,
    sums.currency                         AS currency,
    seats.capacity                        AS capacity,
    seats.sold                            AS sold,
    seats.held                            AS held,
    sums.gross                            AS gross_minor,
    sums.refunds                          AS refunds_minor,
    sums.fees                             AS fees_minor,
    sums.gross - sums.refunds - sums.fees AS net_minor,
    sums.charges                          AS charges,
    if(charges = 0, NULL, intDiv(2 * sums.gross + charges, 2 * charges)) AS average_minor,
    sums.orders                           AS orders,
    sums.tickets                          AS tickets,
    sums.first_sale                       AS first_sale,
    sums.last_sale                        AS last_sale,
    greatest(catalog.created_at, catalog.sale_starts_at) AS begins,
    if(seats.capacity > 0 AND seats.sold = seats.capacity AND begins > toDateTime64(0, 3) AND sums.last_order >= begins,
        dateDiff('millisecond', begins, sums.last_order), NULL) AS sold_out_after_ms
FROM
(
    WITH
        toDateTime64('2262-01-01 00:00:00', 3, 'UTC') AS never,
        toDateTime64(0, 3, 'UTC')                     AS begin
    SELECT
        event_id,
        currency,
        sum(gross)       AS gross,
        sum(refunds)     AS refunds,
        sum(fees)        AS fees,
        sum(charges)     AS charges,
        sum(orders)      AS orders,
        sum(tickets)     AS tickets,
        if(orders = 0, begin, min(first_sale)) AS first_sale,
        max(last_sale)   AS last_sale,
        max(last_order)  AS last_order
    FROM
    (
        SELECT
            event_id,
            currency,
            toInt64(0) AS gross,
            toInt64(0) AS refunds,
            toInt64(0) AS fees,
            toInt64(0) AS charges,
            toInt64(0) AS orders,
            toInt64(0) AS tickets,
            never      AS first_sale,
            begin      AS last_sale,
            begin      AS last_order
        FROM catalog_events FINAL
        WHERE {{template "scope"}}
        UNION ALL
        SELECT
            event_id,
            currency,
            sumIf(amount_minor, kind = 'charge') AS gross,
            sumIf(amount_minor, kind = 'refund') AS refunds,
            sumIf(fee_minor, kind = 'charge')    AS fees,
            toInt64(0) AS charges,
            toInt64(0) AS orders,
            toInt64(0) AS tickets,
            never      AS first_sale,
            begin      AS last_sale,
            begin      AS last_order
        FROM movements FINAL
        WHERE {{template "moved"}}
          AND {{template "scope"}}
        GROUP BY event_id, currency
        UNION ALL
        SELECT
            event_id,
            currency,
            toInt64(0) AS gross,
            toInt64(0) AS refunds,
            toInt64(0) AS fees,
            toInt64(count()) AS charges,
            toInt64(0) AS orders,
            toInt64(0) AS tickets,
            never      AS first_sale,
            begin      AS last_sale,
            begin      AS last_order
        FROM payments FINAL
        WHERE captured_minor > 0
          AND if({basis:String} = 'occurred', captured_at, booked_at) >= {from:DateTime64(3)}
          AND if({basis:String} = 'occurred', captured_at, booked_at) < {to:DateTime64(3)}
          AND {{template "scope"}}
        GROUP BY event_id, currency
        UNION ALL
        SELECT
            event_id,
            currency,
            toInt64(0) AS gross,
            toInt64(0) AS refunds,
            toInt64(0) AS fees,
            toInt64(0) AS charges,
            toInt64(count())                       AS orders,
            toInt64(sum(arraySum(lines.quantity))) AS tickets,
            min(decided_at) AS first_sale,
            max(decided_at) AS last_sale,
            begin           AS last_order
        FROM registrations FINAL
        WHERE {{template "stands"}}
          AND decided_at >= {from:DateTime64(3)} AND decided_at < {to:DateTime64(3)}
          AND {{template "scope"}}
        GROUP BY event_id, currency
        UNION ALL
        SELECT
            event_id,
            currency,
            toInt64(0) AS gross,
            toInt64(0) AS refunds,
            toInt64(0) AS fees,
            toInt64(0) AS charges,
            toInt64(0) AS orders,
            toInt64(0) AS tickets,
            never      AS first_sale,
            begin      AS last_sale,
            max(decided_at) AS last_order
        FROM registrations FINAL
        WHERE outcome = 'confirmed'
          AND event_id GLOBAL IN (SELECT event_id FROM seat_blocks FINAL GROUP BY event_id HAVING sum(sold) = sum(size) - sum(withdrawn))
          AND {{template "scope"}}
        GROUP BY event_id, currency
    )
    GROUP BY event_id, currency
) AS sums
LEFT JOIN
(
    SELECT event_id, toInt64(sum(size) - sum(withdrawn)) AS capacity, toInt64(sum(sold)) AS sold, toInt64(sum(held)) AS held
    FROM seat_blocks FINAL
    GROUP BY event_id
) AS seats ON seats.event_id = sums.event_id
LEFT JOIN
(
    SELECT event_id, name, created_at, sale_starts_at
    FROM catalog_events FINAL
) AS catalog ON catalog.event_id = sums.event_id
ORDER BY currency, event, event_id
SETTINGS {{template "final"}}
