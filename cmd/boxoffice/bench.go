package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// benchCommand runs sales of several kinds, each several times in processes of
// their own, and prints medians.
type benchCommand struct {
	Runs  int      `help:"Runs of each scenario; medians are printed." default:"3"`
	Only  []string `help:"Scenarios to run: rate-1000, rate-2000, unlimited, batch, free, large." placeholder:"NAME,..."`
	Out   string   `help:"Folder for figures and profiles." default:"bench" type:"path"`
	Scale float64  `help:"Multiplies the length of every scenario." default:"1"`
}

// scenario is one kind of sale.
type scenario struct {
	name, about string
	args        []string
	requests    int
	once        bool
}

func scenarios() []scenario {
	return []scenario{
		{"rate-1000", "1,000 requests/s, one request each", []string{"--rate", "1000"}, 50_000, false},
		{"rate-2000", "2,000 requests/s, one request each", []string{"--rate", "2000"}, 80_000, false},
		{"unlimited", "as fast as the system decides, one request each", nil, 200_000, false},
		{"batch", "as fast as the system decides, batch door", []string{"--door", "batch"}, 120_000, false},
		{"free", "as fast as the system decides, free tickets", []string{"--free"}, 300_000, false},
		{"large", "300,000 requests through the batch door, for memory", []string{"--door", "batch"}, 300_000, true},
	}
}

// Run implements the command.
func (c *benchCommand) Run(ctx context.Context, env *environment) error {
	if c.Runs < 1 || c.Scale <= 0 {
		return usagef("--runs must be at least 1 and --scale above 0")
	}
	for _, name := range c.Only {
		if !slices.ContainsFunc(scenarios(), func(s scenario) bool { return s.name == name }) {
			return usagef("there is no scenario %q; 'boxoffice bench --help' lists them", name)
		}
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return usagef("--out: %v", err)
	}
	fmt.Fprintln(env.stdout, machine())
	for _, s := range scenarios() {
		if len(c.Only) > 0 && !slices.Contains(c.Only, s.name) {
			continue
		}
		if err := c.measure(ctx, env, s); err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
	}
	fmt.Fprintf(env.stdout, "\nfigures and profiles are in %s\n", c.Out)
	return nil
}

func (c *benchCommand) measure(ctx context.Context, env *environment, s scenario) error {
	heading(env.stdout, s.name+": "+s.about)
	runs := c.Runs
	if s.once {
		runs = 1
	}
	var all []demoFigures
	for n := range runs {
		figures, err := c.once(ctx, s, fmt.Sprint(n+1), false)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "  run %d: %s confirmed, %s/s, p50 %.0f ms, p99 %.0f ms, %s records/s\n", n+1,
			grouped(figures.Confirmed), grouped(int64(figures.ConfirmedPerS)), figures.LatencyMs["p50"], figures.LatencyMs["p99"],
			grouped(int64(figures.EventsPerS)))
		all = append(all, figures)
	}
	writeMedians(env.stdout, all)
	if s.once {
		return nil
	}
	// Profiling costs something, so it has a run of its own that does not count.
	if _, err := c.once(ctx, s, "profiled", true); err != nil {
		return err
	}
	return writePackages(env.stdout, filepath.Join(c.Out, s.name+"-profiled"))
}

// once runs one sale in a process of its own.
func (c *benchCommand) once(ctx context.Context, s scenario, run string, profiled bool) (demoFigures, error) {
	var figures demoFigures
	self, err := os.Executable()
	if err != nil {
		return figures, err
	}
	dir := filepath.Join(c.Out, s.name+"-"+run)
	file := dir + ".json"
	args := append([]string{"demo", "--registrations", fmt.Sprint(int(float64(s.requests) * c.Scale)), "--json", file}, s.args...)
	if profiled {
		args = append(args, "--profiles", dir)
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Run(); err != nil {
		return figures, fmt.Errorf("%w\n%s", err, tail(output.String(), 30))
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return figures, err
	}
	return figures, json.Unmarshal(raw, &figures)
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func writeMedians(w io.Writer, all []demoFigures) {
	of := func(value func(demoFigures) float64) float64 {
		values := make([]float64, len(all))
		for i, f := range all {
			values[i] = value(f)
		}
		return median(values)
	}
	fmt.Fprintf(w, "  median: %s confirmed/s, p50 %.0f ms, p95 %.0f ms, p99 %.0f ms, %s event and command records/s, ClickHouse caught up %.1f s after the last\n",
		grouped(int64(of(func(f demoFigures) float64 { return f.ConfirmedPerS }))),
		of(func(f demoFigures) float64 { return f.LatencyMs["p50"] }),
		of(func(f demoFigures) float64 { return f.LatencyMs["p95"] }),
		of(func(f demoFigures) float64 { return f.LatencyMs["p99"] }),
		grouped(int64(of(func(f demoFigures) float64 { return f.EventsPerS }))),
		of(func(f demoFigures) float64 { return f.LoadedAfterS }))
	last := all[len(all)-1]
	writeFigures(w, "CPU per confirmed registration", "µs", last.CPUUsPerConfirmed)
	writeFigures(w, "resident memory at the end", "MB", last.ResidentMB)
}

// writeFigures prints a sum and its parts, the largest first.
func writeFigures(w io.Writer, what, unit string, figures map[string]float64) {
	names := make([]string, 0, len(figures))
	sum := 0.0
	for name, value := range figures {
		names = append(names, name)
		sum += value
	}
	slices.SortFunc(names, func(a, b string) int {
		if figures[a] != figures[b] {
			return int(figures[b]*1000 - figures[a]*1000)
		}
		return strings.Compare(a, b)
	})
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s %.0f", name, figures[name])
	}
	fmt.Fprintf(w, "  %s: %.0f %s (%s)\n", what, sum, unit, strings.Join(parts, ", "))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// writePackages says where the time goes: self time by package over all Go
// processes of a run.
func writePackages(w io.Writer, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.pprof"))
	if err != nil {
		return err
	}
	byPackage := map[string]float64{}
	total := 0.0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := profile.ParseData(raw)
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		value := len(parsed.SampleType) - 1
		for _, sample := range parsed.Sample {
			byPackage[packageOf(sample)] += float64(sample.Value[value])
			total += float64(sample.Value[value])
		}
	}
	names := make([]string, 0, len(byPackage))
	for name := range byPackage {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(byPackage[b] - byPackage[a]) })
	parts := make([]string, 0, 12)
	for _, name := range names[:min(12, len(names))] {
		parts = append(parts, fmt.Sprintf("%s %.1f %%", name, 100*byPackage[name]/total))
	}
	fmt.Fprintf(w, "  self time by package: %s\n", strings.Join(parts, ", "))
	return nil
}

// packageOf names the package whose code was running.
func packageOf(sample *profile.Sample) string {
	if len(sample.Location) == 0 || len(sample.Location[0].Line) == 0 || sample.Location[0].Line[0].Function == nil {
		return "native code"
	}
	name := sample.Location[0].Line[0].Function.Name
	slash := strings.LastIndexByte(name, '/')
	if dot := strings.IndexByte(name[slash+1:], '.'); dot >= 0 {
		name = name[:slash+1+dot]
	}
	return strings.TrimPrefix(name, "github.com/eventpro/boxoffice/")
}

// machine describes where this runs.
func machine() string {
	model, memory := "unknown processor", ""
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	if raw, err := os.ReadFile("/proc/meminfo"); err == nil {
		if _, rest, ok := strings.Cut(string(raw), "MemTotal:"); ok {
			var kb int64
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				memory = fmt.Sprintf(", %d GiB", kb>>20)
			}
		}
	}
	return fmt.Sprintf("%s %s/%s, %d cores (%s)%s, everything on this machine", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), model, memory)
}
