{{/*
Every order that was confirmed for a price or paid for, beside its money.

The join of all of them takes long, so months of the past are joined once: see the
tables paid_orders and paid_orders_snapshots. An order is taken from there when its
month's snapshot stands and no part that came since has a row of it. All others are
joined here.
*/}}
{{define "paid_orders" -}}
WITH
    (
        SELECT (groupArray(toString(month)), groupArray(snapshot), arrayFlatten(groupArray(parts)))
        FROM ({{template "snapshots_that_stand"}})
    ) AS at_rest,
    fresh AS
    (
        SELECT event_id, registration_id
        FROM registrations
        WHERE has(at_rest.1, _partition_id) AND NOT has(at_rest.3, concat('registrations ', _part))
        UNION ALL
        SELECT event_id, registration_id
        FROM payments
        WHERE has(at_rest.1, _partition_id) AND NOT has(at_rest.3, concat('payments ', _part))
    )
SELECT
    {{template "both_columns"}}
{{template "from_what_is_kept"}}
  AND has_order AND has_payment
  AND quiet_at >= {{"{"}}{{.}}:DateTime64(3)} AND opens_at < {to:DateTime64(3)}
UNION ALL
SELECT
    {{template "both_columns"}}
FROM
(
    {{template "join"}}
    (
        {{template "orders"}}
          AND {{template "not_at_rest" "request_time"}}
        UNION ALL
        {{template "orders"}}
          AND {{template "changed_since"}}
        UNION ALL
        SELECT
            {{template "order_columns"}}
        {{template "from_what_is_kept"}}
          AND has_order AND NOT has_payment
    ) AS orders
    FULL OUTER JOIN
    (
        {{template "money"}}
        WHERE captured_minor > 0
          AND {{template "not_at_rest" "requested_at"}}
        UNION ALL
        {{template "money"}}
        WHERE captured_minor > 0
          AND {{template "changed_since"}}
        UNION ALL
        SELECT
            {{template "money_columns"}}
        {{template "from_what_is_kept"}}
          AND has_payment AND NOT has_order
    ) AS money ON money.registration_id = orders.registration_id
)
WHERE stands OR captured_minor > 0
{{- end}}

{{/* What is kept of months at rest, but for what has changed since. */}}
{{define "from_what_is_kept" -}}
FROM paid_orders
        WHERE snapshot GLOBAL IN (SELECT arrayJoin(at_rest.2))
          AND (event_id, registration_id) GLOBAL NOT IN (SELECT event_id, registration_id FROM fresh)
          AND {{template "scope"}}
{{- end}}

{{/* A fact of a month at rest that has changed since. */}}
{{define "changed_since" -}}
has(at_rest.1, _partition_id)
          AND (event_id, registration_id) GLOBAL IN (SELECT event_id, registration_id FROM fresh)
          AND {{template "scope"}}
{{- end}}

{{/* A fact of any other month, if it was requested early enough to matter. Only an import
can have moved money before that; a day is more than clocks differ by. */}}
{{define "not_at_rest" -}}
NOT has(at_rest.1, _partition_id)
          AND ({{.}} < {to:DateTime64(3)} + INTERVAL 1 DAY OR imported)
          AND {{template "scope"}}
{{- end}}

{{/*
A part of a month for its snapshot: Bucket of Buckets. Halves are kept too, since the
other half may lie in another month.
*/}}
{{define "paid_orders_snapshot" -}}
SELECT
    '{{.Snapshot}}' AS snapshot,
    {{template "both_columns"}},
    least(
        if(captured_minor > 0, least(captured_at, booked_at), never),
        if(stands, decided_at, never),
        if(empty(refund_amounts), never, least(arrayMin(refunds_refunded_at), arrayMin(refunds_booked_at)))) AS opens_at,
    if(open_minor != 0, never, greatest(
        decided_at, captured_at, booked_at,
        if(cancelled_minor > 0, greatest(cancelled_at, changed_at), toDateTime64(0, 3, 'UTC')),
        arrayMax(arrayConcat(refunds_requested_at, refunds_refunded_at, refunds_booked_at)))) AS quiet_at
FROM
(
    WITH toDateTime64('2262-01-01 00:00:00', 3, 'UTC') AS end
    SELECT
        *,
        end AS never,
        arraySum((amount, status) -> if(status = 'done', amount, 0), refund_amounts, refund_statuses) AS back_minor,
        if(stands,
            greatest(0, {{template "gone"}} - back_minor),
            captured_minor - back_minor) AS open_minor
    FROM
    (
        {{template "join"}}
        (
            {{template "orders"}}
              AND toYYYYMM(request_time) = {{.Month}} AND cityHash64(registration_id) % {{.Buckets}} = {{.Bucket}}
        ) AS orders
        FULL OUTER JOIN
        (
            {{template "money"}}
            WHERE toYYYYMM(requested_at) = {{.Month}} AND cityHash64(registration_id) % {{.Buckets}} = {{.Bucket}}
        ) AS money ON money.registration_id = orders.registration_id
    )
    WHERE stands OR captured_minor > 0 OR (charged AND NOT has_payment)
)
SETTINGS join_algorithm = 'hash', max_threads = 1, {{template "final"}}
{{- end}}

{{define "orders" -}}
SELECT
            registration_id, event_id, toString(organiser) AS organiser, toString(currency) AS currency, test_mode, true AS has_order,
            {{template "stands"}} AS stands,
            toString(outcome) AS outcome, toString(reason) AS reason, imported, total_minor,
            arraySum((amount, cancelled) -> if(cancelled, amount, 0), lines.total_minor, lines.cancelled) AS cancelled_minor,
            decided_at, cancelled_at, changed_at,
            payment_id != toUUID('00000000-0000-0000-0000-000000000000') AS charged
        FROM registrations FINAL
        WHERE total_minor > 0
{{- end}}

{{define "money" -}}
SELECT
            registration_id, payment_id, event_id, toString(organiser) AS organiser, toString(currency) AS currency, test_mode, true AS has_payment,
            captured_minor, captured_at, booked_at, refunds.amount_minor AS refund_amounts, refunds.status AS refund_statuses,
            refunds.requested_at AS refunds_requested_at, refunds.refunded_at AS refunds_refunded_at, refunds.booked_at AS refunds_booked_at
        FROM payments FINAL
{{- end}}

{{define "join" -}}
SELECT
        if(orders.has_order, orders.registration_id, money.registration_id) AS registration_id,
        if(money.captured_minor > 0, money.payment_id, toUUID('00000000-0000-0000-0000-000000000000')) AS payment_id,
        if(orders.has_order, orders.event_id, money.event_id)               AS event_id,
        if(orders.has_order, orders.organiser, money.organiser)             AS organiser,
        if(orders.has_order, orders.currency, money.currency)               AS currency,
        if(orders.has_order, orders.test_mode, money.test_mode)             AS test_mode,
        orders.has_order            AS has_order,
        -- An import's payment that was cancelled before it came has the month of that.
        money.has_payment AND (money.captured_minor > 0 OR NOT orders.imported) AS has_payment,
        orders.stands               AS stands,
        orders.outcome              AS outcome,
        orders.reason               AS reason,
        orders.imported             AS imported,
        orders.total_minor          AS total_minor,
        orders.cancelled_minor      AS cancelled_minor,
        orders.decided_at           AS decided_at,
        orders.cancelled_at         AS cancelled_at,
        orders.changed_at           AS changed_at,
        orders.charged              AS charged,
        money.captured_minor        AS captured_minor,
        money.captured_at           AS captured_at,
        money.booked_at             AS booked_at,
        money.refund_amounts        AS refund_amounts,
        money.refund_statuses       AS refund_statuses,
        money.refunds_requested_at  AS refunds_requested_at,
        money.refunds_refunded_at   AS refunds_refunded_at,
        money.refunds_booked_at     AS refunds_booked_at
    FROM
{{- end}}

{{define "order_columns" -}}
registration_id, event_id, toString(organiser) AS organiser, toString(currency) AS currency, test_mode, has_order,
            stands, toString(outcome) AS outcome, toString(reason) AS reason, imported, total_minor, cancelled_minor,
            decided_at, cancelled_at, changed_at, false AS charged
{{- end}}

{{define "money_columns" -}}
registration_id, payment_id, event_id, toString(organiser) AS organiser, toString(currency) AS currency, test_mode, has_payment,
            captured_minor, captured_at, booked_at, refund_amounts, refund_statuses, refunds_requested_at, refunds_refunded_at, refunds_booked_at
{{- end}}

{{define "both_columns" -}}
registration_id, payment_id, event_id, organiser, currency, test_mode, has_order, has_payment,
    stands, outcome, reason, imported, total_minor, cancelled_minor, decided_at, cancelled_at, changed_at,
    captured_minor, captured_at, booked_at, refund_amounts, refund_statuses, refunds_requested_at, refunds_refunded_at, refunds_booked_at
{{- end}}

{{/*
The money of lines that were cancelled and is owed. Of what was cancelled before it was
imported only what went back counts: the rest was kept there.
*/}}
{{define "gone" -}}
if(imported, least(cancelled_minor, arraySum(refund_amounts)), cancelled_minor)
{{- end}}

{{/*
Orders with their money as the open items are counted of them, by the date that is
asked for: confirmed_at is when the money of an order that stands is earned, cancelled_at
when that of each refund is owed, rest_at when that which no refund names is.
*/}}
{{define "counted_orders" -}}
SELECT
    currency,
    registration_id,
    payment_id,
    if(has_order, outcome, 'unspecified') AS outcome,
    reason,
    stands,
    total_minor    AS total,
    {{template "gone"}} AS gone,
    captured_minor AS taken,
    if({basis:String} = 'occurred', captured_at, booked_at) AS taken_at,
    refund_amounts  AS amounts,
    refund_statuses AS statuses,
    if({basis:String} = 'occurred', refunds_refunded_at, refunds_booked_at) AS returned_at,
    greatest(decided_at, taken_at) AS confirmed_at,
    greatest(confirmed_at, if(paid.cancelled_at > toDateTime64(0, 3), paid.cancelled_at, changed_at)) AS rest_at,
    arrayMap((status, asked, at) -> greatest(confirmed_at, least(asked,
        if(status = 'done', at, asked),
        if(paid.cancelled_at > toDateTime64(0, 3), paid.cancelled_at, asked))),
        refund_statuses, refunds_requested_at, returned_at) AS cancelled_at
FROM
(
    {{template "paid_orders" .}}
) AS paid
{{- end}}

{{/* What of an order's money was owed by a moment, and what of it had gone back. */}}
{{define "gone_by" -}}
least(gone, arraySum((amount, at) -> if(at < {{"{"}}{{.}}:DateTime64(3)}, amount, 0), amounts, cancelled_at))
                + if(rest_at < {{"{"}}{{.}}:DateTime64(3)}, gone - least(gone, arraySum(amounts)), 0)
{{- end}}

{{define "back_by" -}}
arraySum((amount, status, at) -> if(status = 'done' AND at < {{"{"}}{{.}}:DateTime64(3)}, amount, 0),
                amounts, statuses, returned_at)
{{- end}}

{{/*
The newest snapshot of each month, where it stands: of the same tables, whose ids are
others when they were exchanged for others with parts of the same names; all its parts
are there; all its rows are; it was not noted just now, while a query could be under way
that does not see its rows; and what has come since is little enough to be held in
memory by the reader.
*/}}
{{define "snapshots_that_stand" -}}
SELECT last.month AS month, last.snapshot AS snapshot, last.parts AS parts
FROM
(
    SELECT month, argMax(snapshot, made_at) AS snapshot, argMax(parts, made_at) AS parts, argMax(orders, made_at) AS orders
    FROM paid_orders_snapshots
    WHERE tables = ({{template "snapshot_tables"}}) AND counts_from <= now64(3)
    GROUP BY month
) AS last
INNER JOIN
(
    SELECT toUInt32(partition) AS month, groupArray(concat(table, ' ', name)) AS parts, groupArray(rows) AS rows
    FROM system.parts
    WHERE database = currentDatabase() AND table IN ('registrations', 'payments') AND active
    GROUP BY month
) AS now ON now.month = last.month
LEFT JOIN
(
    SELECT partition, sum(rows) AS orders
    FROM system.parts
    WHERE database = currentDatabase() AND table = 'paid_orders' AND active
    GROUP BY partition
) AS kept ON kept.partition = toString(last.snapshot)
WHERE hasAll(now.parts, last.parts)
  AND kept.orders = last.orders
  AND arraySum((part, rows) -> if(has(last.parts, part), 0, rows), now.parts, now.rows)
    <= greatest(1000, least(20000, arraySum(now.rows) / 10))
{{- end}}

{{define "snapshot_tables" -}}
SELECT arrayStringConcat(arraySort(groupArray(toString(uuid))), ' ')
            FROM system.tables
            WHERE database = currentDatabase() AND name IN ('registrations', 'payments')
{{- end}}

{{define "snapshot_parts" -}}
SELECT groupArray(concat(table, ' ', name))
            FROM system.parts
            WHERE database = currentDatabase() AND table IN ('registrations', 'payments') AND active
{{- end}}

{{/*
How a query with paid_orders runs: all its reads of a table see the same parts, which is
how the parts that a snapshot lacks are told from it, and its join sorts on disk, since
nothing may stand yet.
*/}}
{{define "paid_orders_settings" -}}
enable_shared_storage_snapshot_in_query = 1, join_algorithm = 'full_sorting_merge', max_bytes_before_external_sort = 80000000,
    prefer_external_sort_block_bytes = 1000000
{{- end}}
