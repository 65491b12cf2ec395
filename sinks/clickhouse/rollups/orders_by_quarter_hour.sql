SELECT
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(r.request_time), 900000) * 900000, 'UTC') AS requested_at,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(r.decided_at), 900000) * 900000, 'UTC')   AS decided_at,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(r.cancelled_at), 900000) * 900000, 'UTC') AS cancelled_at,
    event_id,
    organiser,
    currency,
    test_mode,
    imported,
    channel,
    region,
    outcome,
    reason,
    -- Only a confirmed order has lines that are cancelled; an open one is
    -- cancelled as a whole.
    multiIf(outcome = 'confirmed' OR outcome = 'cancelled' AND has(lines.cancelled, true), 'confirmed',
        payment_id != toUUID('00000000-0000-0000-0000-000000000000'), 'charged',
        toUnixTimestamp64Milli(held_at) != 0, 'held',
        'requested')                                                         AS reached,
    count()                                                                  AS registrations,
    sum(arraySum(lines.quantity))                                            AS tickets,
    sum(total_minor)                                                         AS amount_minor,
    sum(arraySum((q, c) -> if(c, q, 0), lines.quantity, lines.cancelled))    AS cancelled_tickets,
    sum(arraySum((t, c) -> if(c, t, 0), lines.total_minor, lines.cancelled)) AS cancelled_minor
FROM registrations AS r FINAL
WHERE toYYYYMM(r.request_time) = {month:UInt32}
GROUP BY requested_at, decided_at, cancelled_at, event_id, organiser, currency, test_mode, imported, channel, region, outcome, reason, reached
