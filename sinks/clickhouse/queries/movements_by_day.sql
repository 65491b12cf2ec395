-- Money captured and given back per event, currency and UTC day of the provider as
-- the journal of money has it, test sales included: what the provider's ledger must
-- show (I4).
SELECT
    event_id,
    currency,
    toString(toDate(occurred_at, 'UTC'))        AS day,
    sumIf(amount_minor, kind = 'charge')        AS captured_minor,
    sumIf(amount_minor, kind = 'refund')        AS refunded_minor,
    sum(fee_minor)                              AS fee_minor
FROM movements FINAL
GROUP BY event_id, currency, day
ORDER BY event_id, currency, day
SETTINGS {{template "final"}}
