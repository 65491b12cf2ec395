-- The roll-forward of money that is neither earned nor given back, by currency, of
-- a period: from is inside, to is outside. Two sources must agree: charged and
-- refunded come from the journal of movements; confirmed (money of orders when they
-- are confirmed), cancelled (money of lines that are cancelled after that) and the
-- balances pending_start and pending_end come from the states of registrations and
-- payments: what had been captured and not given back, at that moment, of orders or
-- lines that did not stand. rolled = pending_start + charged - confirmed + cancelled
-- - refunded must be pending_end. The date of money is the day of its booking, or with
-- the basis 'occurred' the provider's. A confirmation counts when the money is
-- there at the earliest, a cancellation when its refund was asked for, so that
-- clocks that differ open no gap. Of what was cancelled before it was imported only
-- what went back counts: the rest was kept there. The join is of every order ever paid: it is sorted,
-- on disk if need be, instead of held in memory.
SELECT
    currency,
    sum(pending_start) AS pending_start_minor,
    sum(charged)       AS charged_minor,
    sum(confirmed)     AS confirmed_minor,
    sum(cancelled)     AS cancelled_minor,
    sum(refunded)      AS refunded_minor,
    pending_start_minor + charged_minor - confirmed_minor + cancelled_minor - refunded_minor AS rolled_minor,
    sum(pending_end)   AS pending_end_minor,
    rolled_minor - pending_end_minor AS difference_minor
FROM
(
    SELECT
        toString(currency) AS currency,
        toInt64(0)         AS pending_start,
        if(kind = 'charge', amount_minor, 0) AS charged,
        toInt64(0)         AS confirmed,
        toInt64(0)         AS cancelled,
        if(kind = 'refund', amount_minor, 0) AS refunded,
        toInt64(0)         AS pending_end
    FROM movements FINAL
    WHERE if({basis:String} = 'occurred', occurred_at, booked_at) >= {from:DateTime64(3)}
      AND if({basis:String} = 'occurred', occurred_at, booked_at) < {to:DateTime64(3)}
      AND (NOT test_mode OR {test_mode:Bool})
      AND ({organiser:String} = 'all' OR organiser = {organiser:String})
      AND ({event:String} = 'all' OR toString(event_id) = {event:String})
      AND ({currency:String} = 'all' OR currency = {currency:String})
    UNION ALL
    SELECT
        currency,
        if(stands AND confirmed_at < {from:DateTime64(3)}, greatest(0, gone_start - back_start),
            if(taken_at < {from:DateTime64(3)}, taken, 0) - back_start) AS pending_start,
        toInt64(0) AS charged,
        if(stands AND confirmed_at >= {from:DateTime64(3)} AND confirmed_at < {to:DateTime64(3)}, total, 0) AS confirmed,
        if(stands, gone_end - gone_start, 0) AS cancelled,
        toInt64(0) AS refunded,
        if(stands AND confirmed_at < {to:DateTime64(3)}, greatest(0, gone_end - back_end),
            if(taken_at < {to:DateTime64(3)}, taken, 0) - back_end) AS pending_end
    FROM
    (
        SELECT
            currency,
            stands,
            total,
            taken,
            taken_at,
            confirmed_at,
            least(gone, arraySum((amount, at) -> if(at < {from:DateTime64(3)}, amount, 0), amounts, cancelled_at))
                + if(rest_at < {from:DateTime64(3)}, gone - least(gone, arraySum(amounts)), 0) AS gone_start,
            least(gone, arraySum((amount, at) -> if(at < {to:DateTime64(3)}, amount, 0), amounts, cancelled_at))
                + if(rest_at < {to:DateTime64(3)}, gone - least(gone, arraySum(amounts)), 0) AS gone_end,
            arraySum((amount, status, at) -> if(status = 'done' AND at < {from:DateTime64(3)}, amount, 0),
                amounts, statuses, returned_at) AS back_start,
            arraySum((amount, status, at) -> if(status = 'done' AND at < {to:DateTime64(3)}, amount, 0),
                amounts, statuses, returned_at) AS back_end
        FROM
        (
            SELECT
                if(orders.stands, orders.currency, money.currency) AS currency,
                orders.stands    AS stands,
                orders.total     AS total,
                if(orders.imported, least(orders.gone, arraySum(money.amounts)), orders.gone) AS gone,
                money.taken      AS taken,
                money.taken_at   AS taken_at,
                money.amounts    AS amounts,
                money.statuses   AS statuses,
                money.times      AS returned_at,
                greatest(orders.decided_at, money.taken_at) AS confirmed_at,
                greatest(confirmed_at, if(orders.cancelled_at > toDateTime64(0, 3), orders.cancelled_at, orders.changed_at)) AS rest_at,
                arrayMap((status, asked, at) -> greatest(confirmed_at, least(asked,
                    if(status = 'done', at, asked),
                    if(orders.cancelled_at > toDateTime64(0, 3), orders.cancelled_at, asked))),
                    money.statuses, money.asked, money.times) AS cancelled_at
            FROM
            (
                SELECT
                    registration_id,
                    true               AS stands,
                    toString(currency) AS currency,
                    total_minor        AS total,
                    arraySum((amount, cancelled) -> if(cancelled, amount, 0), lines.total_minor, lines.cancelled) AS gone,
                    imported,
                    decided_at,
                    cancelled_at,
                    changed_at
                FROM registrations FINAL
                WHERE (outcome = 'confirmed' OR (outcome = 'cancelled' AND has(lines.cancelled, true)))
                  AND total_minor > 0
                  AND (NOT test_mode OR {test_mode:Bool})
                  AND ({organiser:String} = 'all' OR organiser = {organiser:String})
                  AND ({event:String} = 'all' OR toString(event_id) = {event:String})
                  AND ({currency:String} = 'all' OR currency = {currency:String})
            ) AS orders
            FULL OUTER JOIN
            (
                SELECT
                    registration_id,
                    toString(currency) AS currency,
                    captured_minor     AS taken,
                    if({basis:String} = 'occurred', captured_at, booked_at) AS taken_at,
                    refunds.amount_minor AS amounts,
                    refunds.status       AS statuses,
                    refunds.requested_at AS asked,
                    if({basis:String} = 'occurred', refunds.refunded_at, refunds.booked_at) AS times
                FROM payments FINAL
                WHERE captured_minor > 0
                  AND (NOT test_mode OR {test_mode:Bool})
                  AND ({organiser:String} = 'all' OR organiser = {organiser:String})
                  AND ({event:String} = 'all' OR toString(event_id) = {event:String})
                  AND ({currency:String} = 'all' OR currency = {currency:String})
            ) AS money ON money.registration_id = orders.registration_id
        )
    )
)
GROUP BY currency
HAVING pending_start_minor != 0 OR charged_minor != 0 OR confirmed_minor != 0 OR cancelled_minor != 0 OR refunded_minor != 0 OR pending_end_minor != 0
ORDER BY currency
SETTINGS join_algorithm = 'full_sorting_merge', max_bytes_before_external_sort = 100000000
