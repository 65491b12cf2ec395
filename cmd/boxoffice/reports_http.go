package main

import (
	"net/http"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/reports/server"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// newReports wires the reports' paths; none without a ClickHouse server.
func newReports(url string, keys *apikey.Store, cfg stream.Config) (map[string]http.Handler, error) {
	if url == "" {
		return nil, nil
	}
	db, err := openAnalytics(url, clickhouse.DefaultDatabase)
	if err != nil {
		return nil, err
	}
	s, err := server.New(server.Config{DB: db, Keys: keys, Registerer: cfg.Registerer, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	paths := map[string]http.Handler{}
	for _, pattern := range s.Patterns() {
		paths[pattern] = s
	}
	return paths, nil
}
