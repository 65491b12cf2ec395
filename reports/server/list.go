package server

import (
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/render"
)

type listing struct {
	Reports []listedReport `json:"reports"`
	Formats []listedFormat `json:"formats"`
}

type listedReport struct {
	Name       string            `json:"name"`
	Title      string            `json:"title"`
	About      string            `json:"about"`
	Parameters []listedParameter `json:"parameters"`
}

type listedParameter struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

type listedFormat struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Extension string `json:"extension"`
}

// list says which reports there are.
func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.cfg.Keys.Authorize(r.Header.Get("Authorization"), apikey.Reports); err != nil {
		return err
	}
	out := listing{}
	for _, d := range reports.Describe() {
		listed := listedReport{Name: d.Name, Title: d.Title, About: d.About, Parameters: []listedParameter{}}
		for _, p := range parameters {
			if p.reports == "" || slices.Contains(d.Parameters, p.reports) {
				listed.Parameters = append(listed.Parameters, listedParameter{p.name, p.about})
			}
		}
		out.Reports = append(out.Reports, listed)
	}
	for _, f := range render.Formats() {
		out.Formats = append(out.Formats, listedFormat{f.Name, f.MediaType, f.Extension})
	}
	body, err := json.Marshal(out, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, max-age=60")
	_, _ = w.Write(append(body, '\n')) // the caller may be gone
	return nil
}
