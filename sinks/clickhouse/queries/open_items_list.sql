-- The hundred oldest open items at the end of a period: money that had been captured
-- and not given back at the moment to, of orders or lines that did not stand then:
-- what the balance pending_end of open_items is made of. since is when the money
-- came, or when lines of a confirmed order were cancelled whose money is not back.
-- outcome is the order's of now; unspecified stands for an order that is not
-- decided, or not known.
SELECT
    currency,
    registration_id,
    payment_id,
    since,
    outcome,
    reason,
    pending AS pending_minor
FROM
(
    SELECT
        currency,
        registration_id,
        payment_id,
        outcome,
        reason,
        if(confirmed_at < {to:DateTime64(3)}, 'cancelled', 'charged') AS kind,
        {{template "gone_by" "to"}} AS gone_end,
        {{template "back_by" "to"}} AS back_end,
        if(stands AND kind = 'cancelled', greatest(0, gone_end - back_end),
            if(taken_at < {to:DateTime64(3)}, taken, 0) - back_end) AS pending,
        arrayFilter((at, status, back) -> NOT (status = 'done' AND back < {to:DateTime64(3)}), cancelled_at, statuses, returned_at) AS waiting,
        if(stands AND kind = 'cancelled', if(empty(waiting), rest_at, arrayMin(waiting)), taken_at) AS since
    FROM
    (
        {{template "counted_orders" "to"}}
    )
)
WHERE pending != 0
ORDER BY since, currency, registration_id
LIMIT 100
SETTINGS {{template "paid_orders_settings"}},
    {{template "final"}}
