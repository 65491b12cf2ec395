-- How far the orders came that were requested in a period, by currency: from is
-- inside, to is outside, by the time of the request. Each row is one end: how far
-- an order came (requested; held, it had all its seats; paid, its money was
-- captured or it was free; confirmed, whatever became of it later), its outcome now
-- and why, with the number of such orders, their tickets and what they were worth.
-- An outcome 'unspecified' is still open.
SELECT
    currency,
    if(confirmed, 'confirmed', if(paid, 'paid', if(held_at > toDateTime64(0, 3), 'held', 'requested'))) AS reached,
    toString(outcome)         AS outcome,
    toString(reason)          AS reason,
    toInt64(count())          AS orders,
    toInt64(sum(tickets))     AS tickets,
    sum(total_minor)          AS amount_minor
FROM
(
    SELECT
        currency,
        held_at,
        outcome,
        reason,
        total_minor,
        arraySum(lines.quantity) AS tickets,
        {{template "stands"}} AS confirmed,
        held_at > toDateTime64(0, 3) AND (total_minor = 0 OR confirmed OR registration_id GLOBAL IN
        (
            SELECT registration_id
            FROM movements FINAL
            WHERE kind = 'charge'
              AND registration_id GLOBAL IN
              (
                  SELECT registration_id
                  FROM registrations FINAL
                  WHERE NOT {{template "stands"}} AND held_at > toDateTime64(0, 3)
                    AND request_time >= {from:DateTime64(3)} AND request_time < {to:DateTime64(3)}
              )
        )) AS paid
    FROM registrations FINAL
    WHERE request_time >= {from:DateTime64(3)} AND request_time < {to:DateTime64(3)}
      AND {{template "scope"}}
)
GROUP BY currency, reached, outcome, reason
ORDER BY currency, indexOf(['requested', 'held', 'paid', 'confirmed'], reached), outcome, reason
SETTINGS {{template "final"}}
