package schedule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/render"
)

// Config is a file of schedules. This is one with everything in it:
//
//	smtp:                        # needed for mail
//	  host: mail.example.org
//	  port: 587                  # default: 587, 465 for implicit, 25 for none
//	  tls: starttls              # or implicit, or none: never with a password
//	  ca_file: company-ca.pem    # default: the system's authorities
//	  from: Box office <reports@example.org>
//	  user: reports@example.org  # needs one of the next two
//	  password_env: SMTP_PASSWORD
//	  password_file: smtp-password
//	schedules:
//	  - name: month-end
//	    cron: 0 6 1 * *          # minute hour day-of-month month day-of-week
//	    zone: Europe/Berlin      # of the cron expression and of the reports
//	    wait: 2h                 # for the database, if it is not loaded that far
//	    reports:
//	      - report: revenue
//	        period: last-month   # or from and to
//	        formats: [pdf, csv]
//	        organiser: eventpro  # and event, currency, basis, locale, test_mode
//	    deliver:
//	      - directory: /srv/reports
//	      - mail: {to: [anna@example.org], cc: [], subject: Month's end}
//
// Paths are relative to the file.
type Config struct {
	SMTP      *SMTP      `yaml:"smtp"`
	Schedules []Schedule `yaml:"schedules"`
}

// SMTP is the server that takes mails.
type SMTP struct {
	Host         string `yaml:"host"`
	Port         int    `yaml:"port"`
	TLS          string `yaml:"tls"`
	CAFile       string `yaml:"ca_file"`
	From         string `yaml:"from"`
	User         string `yaml:"user"`
	PasswordEnv  string `yaml:"password_env"`
	PasswordFile string `yaml:"password_file"`

	// password is a function, which no log and no error shows by accident.
	password func() string
}

// The ways of protecting mail on its way.
const (
	tlsStart    = "starttls"
	tlsImplicit = "implicit"
	tlsNone     = "none"
)

// Schedule is what is made when, and where it goes.
type Schedule struct {
	Name    string        `yaml:"name"`
	Cron    string        `yaml:"cron"`
	Zone    string        `yaml:"zone"`
	Wait    time.Duration `yaml:"wait"`
	Reports []Report      `yaml:"reports"`
	Deliver []Delivery    `yaml:"deliver"`

	times timetable
}

// Report is one report of a schedule.
type Report struct {
	Report    string   `yaml:"report"`
	Period    string   `yaml:"period"`
	From      string   `yaml:"from"`
	To        string   `yaml:"to"`
	Event     string   `yaml:"event"`
	Organiser string   `yaml:"organiser"`
	Currency  string   `yaml:"currency"`
	Basis     string   `yaml:"basis"`
	Locale    string   `yaml:"locale"`
	TestMode  bool     `yaml:"test_mode"`
	Formats   []string `yaml:"formats"`
}

// Delivery is one place that reports go to: a directory or a mail.
type Delivery struct {
	Directory string `yaml:"directory"`
	Mail      *Mail  `yaml:"mail"`
}

// Mail is whom a mail goes to.
type Mail struct {
	To      []string `yaml:"to"`
	Cc      []string `yaml:"cc"`
	Subject string   `yaml:"subject"`
}

// id names a delivery in the state file. It says where, not how: a mail with
// another subject is no other delivery.
func (d Delivery) id() string {
	if d.Mail == nil {
		return "directory " + d.Directory
	}
	return "mail " + strings.Join(append(append([]string{}, d.Mail.To...), d.Mail.Cc...), ", ")
}

// waitDefault is Schedule.Wait when it is not set.
const waitDefault = 2 * time.Hour

// Load reads a file of schedules and checks all of it, so that a mistake shows at
// the start and not at the end of the month. getenv gives the environment's
// variables.
func Load(path string, getenv func(string) string) (*Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &Config{}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.complete(filepath.Dir(path), getenv); err != nil {
		return nil, fmt.Errorf("%s:\n%w", path, err)
	}
	return c, nil
}

// complete fills in what is left out and says all that is wrong.
func (c *Config) complete(dir string, getenv func(string) string) error {
	var errs []error
	if len(c.Schedules) == 0 {
		errs = append(errs, errors.New("there is no schedule: list at least one under schedules"))
	}
	if c.SMTP != nil {
		errs = append(errs, c.SMTP.complete(dir, getenv))
	}
	names := map[string]bool{}
	for i := range c.Schedules {
		s := &c.Schedules[i]
		if err := s.complete(dir, c.SMTP != nil); err != nil {
			errs = append(errs, fmt.Errorf("schedule %q: %w", s.Name, err))
		}
		if names[s.Name] {
			errs = append(errs, fmt.Errorf("schedule %q is there twice: give each a name of its own", s.Name))
		}
		names[s.Name] = true
	}
	return errors.Join(errs...)
}

func (s *SMTP) complete(dir string, getenv func(string) string) error {
	if s.TLS == "" {
		s.TLS = tlsStart
	}
	ports := map[string]int{tlsStart: 587, tlsImplicit: 465, tlsNone: 25}
	if s.Port == 0 {
		s.Port = ports[s.TLS]
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("smtp: "+format, args...))
		}
	}
	check(s.Host != "", "host is missing")
	check(ports[s.TLS] != 0, "tls is %q: use %s, %s or %s", s.TLS, tlsStart, tlsImplicit, tlsNone)
	_, err := mail.ParseAddress(s.From)
	check(err == nil, "from is %q: use an address such as Box office <reports@example.org>", s.From)
	check(s.User == "" || s.TLS != tlsNone, "a password would be sent in the clear: use tls %s or %s, or no user", tlsStart, tlsImplicit)
	check((s.User != "") == (s.PasswordEnv != "" || s.PasswordFile != ""), "user and one of password_env and password_file belong together")
	check(s.PasswordEnv == "" || s.PasswordFile == "", "password_env and password_file are both set: choose one")
	if s.CAFile != "" {
		s.CAFile = inside(dir, s.CAFile)
	}
	password := ""
	switch {
	case s.PasswordEnv != "":
		password = getenv(s.PasswordEnv)
		check(password != "", "the environment has no %s, which password_env names", s.PasswordEnv)
	case s.PasswordFile != "":
		content, err := os.ReadFile(inside(dir, s.PasswordFile))
		check(err == nil, "password_file: %v", err)
		password = strings.TrimRight(string(content), "\r\n")
		check(err != nil || password != "", "password_file %s is empty", s.PasswordFile)
	}
	s.password = func() string { return password }
	return errors.Join(errs...)
}

func inside(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// scheduleName keeps names fit for labels, file names and Message-IDs.
var scheduleName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (s *Schedule) complete(dir string, canMail bool) error {
	if !scheduleName.MatchString(s.Name) {
		return errors.New("name must be 1 to 63 of a-z, 0-9, dot, - and _")
	}
	if s.Zone == "" {
		s.Zone = "UTC"
	}
	if s.Wait == 0 {
		s.Wait = waitDefault
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return fmt.Errorf("zone is %q: use an IANA name such as Europe/Berlin", s.Zone)
	}
	if s.times, err = newTimetable(s.Cron, zone); err != nil {
		return err
	}
	var errs []error
	if len(s.Reports) == 0 || len(s.Deliver) == 0 {
		errs = append(errs, errors.New("list at least one report under reports, and one place under deliver"))
	}
	if s.Wait < 0 {
		errs = append(errs, fmt.Errorf("wait is %v: use a time such as 2h", s.Wait))
	}
	due := s.times.after(time.Now())
	for i := range s.Reports {
		errs = append(errs, s.Reports[i].complete(s.Zone, due))
	}
	places := map[string]bool{}
	for i := range s.Deliver {
		d := &s.Deliver[i]
		errs = append(errs, d.complete(dir, canMail))
		if places[d.id()] {
			errs = append(errs, fmt.Errorf("it goes twice to %s", d.id()))
		}
		places[d.id()] = true
	}
	return errors.Join(errs...)
}

func (r *Report) complete(zone string, due time.Time) error {
	if len(r.Formats) == 0 {
		return fmt.Errorf("report %q: list at least one of the formats %s", r.Report, strings.Join(render.Names(), ", "))
	}
	for _, name := range r.Formats {
		if _, ok := render.Find(name); !ok {
			return fmt.Errorf("report %q: there is no format %q; there are: %s", r.Report, name, strings.Join(render.Names(), ", "))
		}
	}
	params, err := r.params(zone, due)
	if err == nil {
		err = reports.Check(r.Report, params)
	}
	if err != nil {
		return fmt.Errorf("report %q: %w", r.Report, err)
	}
	return nil
}

// params are the report's parameters for a run.
func (r *Report) params(zone string, due time.Time) (reports.Params, error) {
	return reports.ParseParams(reports.Asked{
		From: r.From, To: r.To, Period: r.Period, Zone: zone, Organiser: r.Organiser, Event: r.Event,
		Currency: r.Currency, Basis: r.Basis, Locale: r.Locale, TestMode: r.TestMode,
	}, due)
}

func (d *Delivery) complete(dir string, canMail bool) error {
	switch {
	case (d.Directory == "") == (d.Mail == nil):
		return errors.New("each place under deliver is a directory or a mail")
	case d.Directory != "":
		d.Directory = inside(dir, d.Directory)
		return nil
	case !canMail:
		return errors.New("a mail needs a server: set smtp")
	case len(d.Mail.To) == 0:
		return errors.New("a mail needs somebody to go to: set to")
	case strings.ContainsAny(d.Mail.Subject, "\r\n"):
		return errors.New("the subject must be one line")
	}
	for _, address := range append(append([]string{}, d.Mail.To...), d.Mail.Cc...) {
		if _, err := mail.ParseAddress(address); err != nil {
			return fmt.Errorf("%q is no mail address", address)
		}
	}
	return nil
}
