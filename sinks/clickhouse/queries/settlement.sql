-- Every charge and refund with the provider's id of it, its money and the
-- provider's time, in the order of key ('reference' is our id, 'provider_id' the
-- provider's), for holding against the provider's settlement line by line (I4).
-- Test sales are included. booked is false for what has moved no money here: a
-- payment that was not captured, a refund that is not done; its time is when it was
-- asked for. from is inside, to is outside. provider is the name of the payment
-- provider whose it must be; 'all' leaves out only what was brought in from another
-- system.
SELECT kind, reference, provider_id, currency, amount_minor, fee_minor, at, booked
FROM
(
    SELECT
        'charge'                                            AS kind,
        toString(payment_id)                                AS reference,
        provider_reference                                  AS provider_id,
        toString(currency)                                  AS currency,
        captured_minor                                      AS amount_minor,
        fee_minor                                           AS fee_minor,
        if(captured_minor != 0, captured_at, requested_at)  AS at,
        captured_minor != 0                                 AS booked
    FROM payments FINAL
    WHERE if({provider:String} = 'all', NOT imported, provider = {provider:String})
    UNION ALL
    SELECT
        'refund'                                            AS kind,
        toString(id)                                        AS reference,
        their_id                                            AS provider_id,
        toString(currency)                                  AS currency,
        amount                                              AS amount_minor,
        toInt64(0)                                          AS fee_minor,
        if(status = 'done', done, asked)                    AS at,
        status = 'done'                                     AS booked
    FROM
    (
        SELECT currency, refunds.refund_id AS ids, refunds.provider_reference AS their_ids, refunds.amount_minor AS amounts,
            refunds.status AS statuses, refunds.refunded_at AS dones, refunds.requested_at AS askeds
        FROM payments FINAL
        WHERE if({provider:String} = 'all', NOT imported, provider = {provider:String}) AND notEmpty(refunds.refund_id)
    )
    ARRAY JOIN ids AS id, their_ids AS their_id, amounts AS amount, statuses AS status, dones AS done, askeds AS asked
)
WHERE at >= {from:DateTime64(3)} AND at < {to:DateTime64(3)}
ORDER BY if({key:String} = 'reference', reference, provider_id), kind
