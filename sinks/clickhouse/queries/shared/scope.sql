{{/* What every report can be limited to. */}}
{{define "scope" -}}
(NOT test_mode OR {test_mode:Bool})
AND ({organiser:String} = 'all' OR organiser = {organiser:String})
AND ({event:String} = 'all' OR toString(event_id) = {event:String})
AND ({currency:String} = 'all' OR currency = {currency:String})
{{- end}}

{{/* A movement of money within the period, by the date that is asked for. */}}
{{define "moved" -}}
if({basis:String} = 'occurred', occurred_at, booked_at) >= {from:DateTime64(3)}
AND if({basis:String} = 'occurred', occurred_at, booked_at) < {to:DateTime64(3)}
{{- end}}

{{/* An order that was confirmed, whatever became of it later: only a confirmed order
has lines that are cancelled, an open one is cancelled as a whole. */}}
{{define "stands" -}}
(outcome = 'confirmed' OR (outcome = 'cancelled' AND has(lines.cancelled, true)))
{{- end}}

{{/* How facts are read. All versions of one fact are in one partition, since the date
that partitions go by never changes: FINAL need not look across them. (A payment that
was cancelled before its charge came gets another date with the charge; what it was
before has no money, and is in no figure.) The dates that have an index do not change
either once they are there, so granules that it leaves out hold no newer version of a
row that fits. */}}
{{define "final" -}}
do_not_merge_across_partitions_select_final = 1, use_skip_indexes_if_final_exact_mode = 0
{{- end}}
