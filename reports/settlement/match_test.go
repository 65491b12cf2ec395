package settlement

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world is what really happened, and the differences that were put between the
// two sides.
type world struct {
	there, here []Entry
	want        map[string]int // "finding kind reference": how often
	serial      int
}

var september = Scope{From: day(1), To: day(31)}

func day(n int) time.Time { return time.Date(2026, 9, n, 0, 0, 0, 0, time.UTC) }

func (w *world) expect(f Finding, e Entry) {
	w.want[fmt.Sprint(f, " ", e.Kind, " ", e.Reference)]++
}

// happen adds one charge or refund and what the two sides say of it.
func (w *world) happen(t *rapid.T) {
	w.serial++
	e := Entry{
		Kind:      rapid.SampledFrom([]Kind{Charge, Refund}).Draw(t, "kind"),
		Reference: fmt.Sprintf("00000000-0000-4000-8000-%012d", w.serial), ProviderID: fmt.Sprintf("ch_%d", w.serial),
		AmountMinor: rapid.Int64Range(1, 100_000).Draw(t, "amount"), FeeMinor: rapid.Int64Range(0, 500).Draw(t, "fee"),
		Currency: rapid.SampledFrom([]string{"EUR", "JPY", "KWD"}).Draw(t, "currency"),
		At:       day(2).Add(time.Duration(rapid.Int64Range(0, 27*24*3600-1).Draw(t, "second")) * time.Second), Booked: true,
	}
	there, here := e, e
	switch rapid.SampledFrom([]string{
		"same", "same", "same", "here", "pending", "there", "twice", "charged twice", "amount", "fee", "both", "day", "month", "currency", "early",
	}).Draw(t, "what") {
	case "same":
	case "here":
		w.expect(UnknownReference, e)
		w.there = append(w.there, there)
		return
	case "pending":
		w.expect(MissingHere, e)
		here.Booked = false
	case "there":
		w.expect(MissingThere, e)
		w.here = append(w.here, here)
		return
	case "twice":
		w.expect(Duplicate, e)
		w.there = append(w.there, there)
	case "charged twice":
		w.expect(Duplicate, e)
		again := there
		again.ProviderID += "_again"
		w.there = append(w.there, again)
	case "amount":
		w.expect(DifferentAmount, e)
		there.AmountMinor++
	case "fee":
		w.expect(DifferentFee, e)
		there.FeeMinor++
	case "both":
		w.expect(DifferentAmount, e)
		w.expect(DifferentFee, e)
		there.AmountMinor, there.FeeMinor = there.AmountMinor+7, there.FeeMinor+1
	case "day":
		w.expect(DifferentDay, e)
		there.At = there.At.AddDate(0, 0, 1)
	case "month": // one side sees it outside the period
		w.expect(DifferentDay, e)
		here.At = day(31).Add(time.Hour)
	case "currency":
		w.expect(DifferentCurrency, e)
		there.Currency = "USD"
	case "early": // both do: no business of this month
		there.At, here.At = day(-40), day(-41)
	}
	w.there, w.here = append(w.there, there), append(w.here, here)
}

// give is a side that is in order already.
func give(entries []Entry) iter.Seq2[Entry, error] {
	slices.SortStableFunc(entries, func(a, b Entry) int { return ByReference.compare(&a, &b) })
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// A ledger with known differences gives exactly those findings, whatever their
// number and order and however many runs the sorting takes; and the sums of the two
// sides differ by exactly what the findings say.
func TestFindingsAreTheInjectedOnes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{want: map[string]int{}}
		for range rapid.IntRange(0, 60).Draw(t, "size") {
			w.happen(t)
		}
		lines := rapid.Permutation(w.there).Draw(t, "order")
		sorted := newSorter(ByReference)
		defer sorted.close()
		sorted.length = rapid.IntRange(1, 70).Draw(t, "run")
		for i, e := range lines {
			e.Line = int64(i + 1)
			if err := sorted.add(e); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Compare(september, ByReference, sorted.sorted(), give(w.here))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for finding, list := range r.Differences {
			for _, d := range list {
				e := cmp.Or(d.There, d.Here)
				got[fmt.Sprint(finding, " ", e.Kind, " ", e.Reference)]++
			}
		}
		if !maps.Equal(got, w.want) {
			t.Fatalf("found %v, want %v", got, w.want)
		}
		if r.Differs() != int64(sum(w.want)) {
			t.Fatalf("counted %d, want %d", r.Differs(), sum(w.want))
		}
		sidesAddUp(t, r)
	})
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// sidesAddUp holds the sums of both sides against the differences between them.
func sidesAddUp(t *rapid.T, r *Result) {
	type key struct {
		SumKey
		fee bool
	}
	differ := map[key]int64{}
	seen := map[*Entry]bool{} // a pair may have several findings
	side := func(e *Entry, sign int64) {
		if e == nil || seen[e] {
			return
		}
		seen[e] = true
		if r.Scope.covers(e) {
			differ[key{SumKey{e.Currency, e.Kind}, false}] += sign * e.AmountMinor
			differ[key{SumKey{e.Currency, e.Kind}, true}] += sign * e.FeeMinor
		}
	}
	for _, list := range r.Differences {
		for _, d := range list {
			side(d.There, 1)
			side(d.Here, -1)
		}
	}
	for k, s := range r.Sums {
		if got := s.There.AmountMinor - s.Here.AmountMinor; got != differ[key{k, false}] {
			t.Fatalf("%v: the sides differ by %d, the findings by %d", k, got, differ[key{k, false}])
		}
		if got := s.There.FeeMinor - s.Here.FeeMinor; got != differ[key{k, true}] {
			t.Fatalf("%v: the fees differ by %d, the findings by %d", k, got, differ[key{k, true}])
		}
	}
}

// A side that breaks off would make all of the rest missing: the comparison fails
// instead, wherever it happens and also when the other side is empty.
func TestBrokenSides(t *testing.T) {
	t.Parallel()
	broken := errors.New("the connection broke")
	one := Entry{Kind: Charge, Reference: "a", Booked: true, At: day(2)}
	after := func(n int) iter.Seq2[Entry, error] {
		return func(yield func(Entry, error) bool) {
			for range n {
				if !yield(one, nil) {
					return
				}
			}
			yield(Entry{}, broken)
		}
	}
	for _, other := range [][]Entry{nil, {one}, {one, {Kind: Charge, Reference: "b", Booked: true, At: day(2)}}} {
		for n := range 3 {
			if _, err := Compare(september, ByReference, give(other), after(n)); !errors.Is(err, broken) {
				t.Errorf("ours broke after %d against %d: %v", n, len(other), err)
			}
			if _, err := Compare(september, ByReference, after(n), give(other)); !errors.Is(err, broken) {
				t.Errorf("theirs broke after %d against %d: %v", n, len(other), err)
			}
		}
	}
}

// A file that differs everywhere must not fill memory with findings: those beyond
// the limit are counted only.
func TestKeepBoundsTheList(t *testing.T) {
	t.Parallel()
	var there []Entry
	for i := range 500 {
		there = append(there, Entry{Kind: Charge, Reference: fmt.Sprint(i), At: day(2), Booked: true})
	}
	scope := september
	scope.Keep = 10
	r, err := Compare(scope, ByReference, give(there), give(nil))
	if err != nil || len(r.Differences[UnknownReference]) != 10 || r.Counts[UnknownReference] != 500 {
		t.Errorf("kept %d of %d, %v", len(r.Differences[UnknownReference]), r.Counts[UnknownReference], err)
	}
}

// read gives what a file has.
func read(t *testing.T, content string) (entries []Entry, key Key, others []string, err error) {
	t.Helper()
	err = File(strings.NewReader(content))(func(k Key, e Entry) error {
		key = k
		entries = append(entries, e)
		return nil
	}, func(name string) { others = append(others, name) })
	return entries, key, others, err
}

// The two forms of a file say the same of a charge and a refund, in any order of
// columns, and tell what is neither.
func TestFileForms(t *testing.T) {
	t.Parallel()
	const ledger = "\ufeffkind,id,reference,payment_reference,amount_minor,currency,fee_minor,at\r\n" +
		"charge,ch_1,6F9619FF-8B86-D011-B42D-00C04FC964FF,x,1050,EUR,40,2026-09-01T12:00:00.123Z\r\n" +
		"decline,ch_2,y,y,1050,EUR,0,2026-09-01T12:00:00Z\r\n" +
		"refund,re_1,00000000-0000-0000-0000-000000000002,x,50,EUR,0,2026-09-02T14:00:00+02:00\r\n"
	entries, key, others, err := read(t, ledger)
	want := []Entry{
		{Charge, "6f9619ff-8b86-d011-b42d-00c04fc964ff", "ch_1", 1050, 40, "EUR", time.Date(2026, 9, 1, 12, 0, 0, 123e6, time.UTC), 2, true},
		{Refund, "00000000-0000-0000-0000-000000000002", "re_1", 50, 0, "EUR", time.Date(2026, 9, 2, 12, 0, 0, 0, time.UTC), 4, true},
	}
	if err != nil || key != ByReference || !slices.Equal(others, []string{"decline"}) || !slices.EqualFunc(entries, want, alike) {
		t.Errorf("got %+v by %s, others %v, %v", entries, key, others, err)
	}
	for name, stripe := range map[string]string{
		"the dashboard's": "id,Type,Source,Amount,Fee,Net,Currency,Created (UTC),Description\n" +
			"txn_1,charge,ch_1,10.50,0.40,10.10,eur,2026-09-01 12:00:00,\"Order,\none\"\n" +
			"txn_2,payout,po_1,-10.10,0.00,-10.10,eur,2026-09-02 00:00:00,\n" +
			"txn_3,refund,re_1,-0.50,0.00,-0.50,eur,2026-09-02 12:00:00,\n",
		"the API's": "balance_transaction_id,created_utc,created,currency,gross,fee,net,reporting_category,source_id\n" +
			"txn_1,2026-09-01 12:00:00,2026-09-01 14:00:00,eur,10.50,0.40,10.10,charge,ch_1\n\n" +
			"txn_2,2026-09-02 00:00:00,2026-09-02 02:00:00,eur,-10.10,0.00,-10.10,payout,po_1\n" +
			"txn_3,2026-09-02 12:00:00,2026-09-02 14:00:00,eur,-0.50,0.00,-0.50,refund,re_1\n",
	} {
		entries, key, others, err := read(t, stripe)
		want := []Entry{
			{Charge, "", "ch_1", 1050, 40, "EUR", time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC), 2, true},
			{Refund, "", "re_1", 50, 0, "EUR", time.Date(2026, 9, 2, 12, 0, 0, 0, time.UTC), 5, true},
		}
		if err != nil || key != ByProviderID || !slices.Equal(others, []string{"payout"}) || !slices.EqualFunc(entries, want, alike) {
			t.Errorf("%s: got %+v by %s, others %v, %v", name, entries, key, others, err)
		}
	}
}

func alike(a, b Entry) bool {
	same := a.At.Equal(b.At)
	a.At = b.At
	return same && a == b
}

// A bad file says which lines are bad and why, more than one at once, and nothing
// is compared.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	const header = "kind,id,reference,amount_minor,currency,fee_minor,at\n"
	const stripe = "Type,Source,Amount,Fee,Currency,Created (UTC)\n"
	for name, c := range map[string]struct {
		content string
		want    []string
	}{
		"empty":  {"", []string{"line 1: the file is empty"}},
		"header": {"kind,id,amount\n", []string{"line 1: the header is", "amount_minor", "Stripe"}},
		"lines": {
			header + "charge,ch_1,a,1,EUR,0,2026-09-01T00:00:00Z\ncharg,ch_1,a,1,EUR,0,x\ncharge,ch_1,a,-1,EUR,0,x\ncharge,ch_1,a,1.5,EUR,0,x\n" +
				"charge,ch_1,a,1,EUR,0,yesterday\ncharge,ch_1,,1,EUR,0,2026-09-01T00:00:00Z\nrefund,re_1,a,1,EURO,0,2026-09-01T00:00:00Z\ncharge,ch\n",
			[]string{
				`line 3: kind is "charg"`, `line 4: amount_minor is "-1"`, `line 5: amount_minor is "1.5"`, `line 6: at is "yesterday"`,
				"line 7: reference is empty", `line 8: currency is "EURO"`, "line 9: wrong number of fields",
			},
		},
		"quotes": {header + "charge,\"ch\"1,a,1,EUR,0,x\n", []string{"line 2: "}},
		"stripe": {
			stripe + "charge,ch_1,10.505,0.00,eur,2026-09-01 00:00:00\ncharge,ch_1,1,0,eur,01/09/2026\nrefund,,-1,0,eur,2026-09-01 00:00\n,x,1,0,eur,2026-09-01 00:00\n",
			[]string{`line 2: the amount is "10.505"`, `line 3: the time is "01/09/2026"`, "line 4: source is empty", "line 5: the category or type is empty"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, _, err := read(t, c.content)
			var mistakes *FileError
			if !errors.As(err, &mistakes) {
				t.Fatalf("%v, want a FileError", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
	_, _, _, err := read(t, header+strings.Repeat("x,,,,,,\n", 1000))
	var mistakes *FileError
	if !errors.As(err, &mistakes) || len(mistakes.Mistakes) != mistakesShown+1 {
		t.Errorf("a thousand bad lines: %v", err)
	}
}

// A million lines are sorted within the memory of one run.
func TestSortingIsBounded(t *testing.T) {
	t.Parallel()
	sorted := newSorter(ByProviderID)
	defer sorted.close()
	sorted.length = 1000
	for i := range 100_000 {
		// A step that is prime to the number visits every id once.
		e := Entry{Kind: Charge, ProviderID: fmt.Sprintf("ch_%06d", i*7919%100_000), AmountMinor: int64(i), At: day(2), Line: int64(i)}
		if err := sorted.add(e); err != nil {
			t.Fatal(err)
		}
		if len(sorted.run) > 1000 {
			t.Fatalf("%d entries are in memory", len(sorted.run))
		}
	}
	n := 0
	for e, err := range sorted.sorted() {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("ch_%06d", n); e.ProviderID != want {
			t.Fatalf("entry %d is %s", n, e.ProviderID)
		}
		n++
	}
	if n != 100_000 {
		t.Errorf("%d entries came back", n)
	}
}

// A run that was cut short on the disk is an error, not the end of the ledger.
func TestCutRunIsNoEnd(t *testing.T) {
	t.Parallel()
	sorted := newSorter(ByReference)
	defer sorted.close()
	sorted.length = 2
	for i := range 4 {
		if err := sorted.add(Entry{Kind: Charge, Reference: fmt.Sprint(i), At: day(2)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := sorted.file.Truncate(sorted.size - 3); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range sorted.sorted() {
		last = err
	}
	if !errors.Is(last, io.ErrUnexpectedEOF) {
		t.Errorf("the end was %v", last)
	}
}
