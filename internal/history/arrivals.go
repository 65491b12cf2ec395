package history

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// byWeekday and byHour are how much is bought when, by the clock of the place.
var (
	byWeekday = [7]float64{time.Sunday: 1.15, 0.9, 0.95, 1.05, 1.1, 1.2, 0.75}
	byHour    = [24]float64{
		.15, .08, .05, .04, .04, .08, .2, .45, .8, 1.1, 1.25, 1.3, 1.45, 1.3, 1.15, 1.1, 1.15, 1.3, 1.5, 1.8, 2.0, 1.7, 1.1, .5,
	}
)

// rushHalf is after how long half of those who wait for the sale have ordered.
const rushHalf = 25 * time.Minute

// arrivals are when the orders of an event come, in order: a rush when the sale
// opens, then by day and hour with more towards the event. All lie within the past.
func (h *History) arrivals(e *event, r *rand.Rand) []time.Time {
	from, to := time.UnixMilli(e.pb.SaleStartsUnixMs), time.UnixMilli(e.pb.SaleEndsUnixMs)
	opens := from
	if begin := h.cfg.begin(); from.Before(begin) {
		from = begin
	}
	if to.After(h.cfg.Until) {
		to = h.cfg.Until
	}
	if !e.cancelled.IsZero() {
		to = e.cancelled
	}
	days := e.weights(from, to)
	times := make([]time.Time, 0, e.orders)
	for range e.orders {
		if opens.Equal(from) && r.Float64() < e.sort.rush {
			if t := from.Add(time.Duration(r.ExpFloat64() * float64(rushHalf) / math.Ln2)); t.Before(to) {
				times = append(times, t)
				continue
			}
		}
		times = append(times, e.moment(r, days, from, to))
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// weights are the sums of how much is bought up to each day of the sale.
func (e *event) weights(from, to time.Time) []float64 {
	starts := time.UnixMilli(e.pb.StartsAtUnixMs)
	var sums []float64
	sum := 0.0
	for day := e.local(from).Truncate(24 * time.Hour); day.Before(e.local(to)); day = day.Add(24 * time.Hour) {
		left := starts.Sub(day).Hours() / 24
		sum += byWeekday[day.Weekday()] * (1 + 3*math.Exp(-max(left, 0)/7))
		sums = append(sums, sum)
	}
	return sums
}

// moment draws one moment of the sale.
func (e *event) moment(r *rand.Rand, days []float64, from, to time.Time) time.Time {
	first := e.local(from).Truncate(24 * time.Hour)
	for range 100 {
		day, _ := slices.BinarySearch(days, r.Float64()*days[len(days)-1])
		hour := pick(r, hours[:], func(h int) float64 { return byHour[h] })
		local := first.Add(time.Duration(min(day, len(days)-1)) * 24 * time.Hour).Add(time.Duration(hour) * time.Hour).
			Add(time.Duration(r.Int64N(int64(time.Hour))))
		if at := local.Add(-time.Duration(e.place.zone) * time.Hour); !at.Before(from) && at.Before(to) {
			return at
		}
	}
	return from.Add(time.Duration(r.Int64N(int64(to.Sub(from))))) // a sale of minutes
}

// local is the clock of the place, as if it were UTC.
func (e *event) local(t time.Time) time.Time {
	return t.UTC().Add(time.Duration(e.place.zone) * time.Hour)
}

var hours = func() (all [24]int) {
	for i := range all {
		all[i] = i
	}
	return all
}()
