package schedule

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/render"
)

// mailTimeout bounds one mail, from the connection to the server's acceptance.
const mailTimeout = 2 * time.Minute

// deliver brings a parcel to one place.
func (s *Scheduler) deliver(ctx context.Context, p *parcel, d Delivery) error {
	if d.Mail == nil {
		return deliverFiles(p, d.Directory)
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	message, err := s.message(p, d)
	if err != nil {
		return err
	}
	return send(ctx, s.options.Config.SMTP, message)
}

// deliverFiles writes a file for each report and format; each appears when it is
// complete.
func deliverFiles(p *parcel, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, it := range p.items {
		for _, f := range it.formats {
			if err := render.WriteFile(filepath.Join(dir, reports.FileName(it.report, f)), f, it.report); err != nil {
				return err
			}
		}
	}
	return nil
}

// message writes the mail: a short text with the main figures, and the reports as
// attachments.
func (s *Scheduler) message(p *parcel, d Delivery) (*mail.Msg, error) {
	smtp := s.options.Config.SMTP
	m := mail.NewMsg()
	if err := m.From(smtp.From); err != nil {
		return nil, err
	}
	if err := m.To(d.Mail.To...); err != nil {
		return nil, err
	}
	if len(d.Mail.Cc) > 0 {
		if err := m.Cc(d.Mail.Cc...); err != nil {
			return nil, err
		}
	}
	letter := newLetter(p)
	m.Subject(letter.subject(d.Mail.Subject))
	m.SetDateWithValue(s.options.Clock())
	m.SetMessageIDWithValue(messageID(p, d, smtp.From))
	// No vacation notice answers it.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	text, html, err := letter.bodies()
	if err != nil {
		return nil, err
	}
	m.SetBodyString(mail.TypeTextPlain, text)
	m.AddAlternativeString(mail.TypeTextHTML, html)
	for _, it := range p.items {
		for _, f := range it.formats {
			var content bytes.Buffer
			if err := f.Write(&content, it.report); err != nil {
				return nil, err
			}
			kind, _, _ := strings.Cut(f.MediaType, ";")
			if err := m.AttachReader(reports.FileName(it.report, f), &content, mail.WithFileContentType(mail.ContentType(kind))); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// messageID is the same for every try of one run and place.
func messageID(p *parcel, d Delivery, from string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s", p.schedule.Name, p.due.UnixMilli(), d.id()))
	_, domain, _ := strings.Cut(strings.TrimSuffix(from, ">"), "@")
	return hex.EncodeToString(sum[:16]) + "@" + domain
}

// send hands a mail to the server. When the server has taken it, what fails
// afterwards does not matter: trying again would send it twice.
func send(ctx context.Context, o *SMTP, m *mail.Msg) error {
	client, err := newMailClient(o)
	if err != nil {
		return err
	}
	if err := client.DialWithContext(ctx); err != nil {
		return fmt.Errorf("mail server %s:%d: %w", o.Host, o.Port, err)
	}
	err = client.Send(m)
	_ = client.Close() // it has the mail, or has said why not
	if err != nil && !m.IsDelivered() {
		return fmt.Errorf("mail server %s:%d: %w", o.Host, o.Port, err)
	}
	return nil
}

func newMailClient(o *SMTP) (*mail.Client, error) {
	conf := &tls.Config{ServerName: o.Host, MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("smtp ca_file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("smtp ca_file %s has no certificate in PEM form", o.CAFile)
		}
	}
	options := []mail.Option{mail.WithPort(o.Port), mail.WithTLSConfig(conf), mail.WithTimeout(mailTimeout)}
	switch o.TLS {
	case tlsImplicit:
		options = append(options, mail.WithSSL())
	case tlsNone:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if o.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(o.User), mail.WithPassword(o.password()))
	}
	return mail.NewClient(o.Host, options...)
}
