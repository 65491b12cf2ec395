-- Money captured and given back per event, currency and UTC day of the provider,
-- test sales included: what the provider's ledger must show (I4).
SELECT
    event_id,
    currency,
    day,
    sum(captured) AS captured_minor,
    sum(refunded) AS refunded_minor,
    sum(fee)      AS fee_minor
FROM
(
    SELECT event_id, currency, toString(toDate(captured_at, 'UTC')) AS day, captured_minor AS captured, toInt64(0) AS refunded, fee_minor AS fee
    FROM payments FINAL
    WHERE captured_minor != 0
    UNION ALL
    SELECT event_id, currency, toString(toDate(at, 'UTC')) AS day, toInt64(0) AS captured, amount AS refunded, toInt64(0) AS fee
    FROM
    (
        SELECT event_id, currency, refunds.amount_minor AS amounts, refunds.status AS statuses, refunds.refunded_at AS times
        FROM payments FINAL
        WHERE notEmpty(refunds.refund_id)
    )
    ARRAY JOIN amounts AS amount, statuses AS status, times AS at
    WHERE status = 'done'
)
GROUP BY event_id, currency, day
ORDER BY event_id, currency, day
