package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/eventpro/boxoffice/internal/apikey"
)

// keysCommand makes an API key and lists its hash in the key file.
type keysCommand struct {
	KeysFile  string   `help:"Key file to add to; it need not exist." required:"" type:"path" placeholder:"FILE"`
	Name      string   `help:"What the key is for, in words." required:""`
	Organiser string   `help:"Organiser that its holder acts for." required:""`
	Scopes    []string `help:"What it may do: events:write, registrations:write, registrations:read, reports, admin." default:"events:write,registrations:write,registrations:read"`
}

// Run implements the command.
func (c *keysCommand) Run(_ context.Context, env *environment) error {
	scopes := make([]apikey.Scope, len(c.Scopes))
	for i, s := range c.Scopes {
		scopes[i] = apikey.Scope(s)
		if !slices.Contains(apikey.Scopes(), scopes[i]) {
			return usagef("--scopes: there is no scope %q; the scopes are %v", s, apikey.Scopes())
		}
	}
	key := apikey.Generate()
	if err := apikey.Append(c.KeysFile, apikey.NewEntry(c.Name, key, c.Organiser, scopes...)); err != nil {
		return usagef("--keys-file: %v", err)
	}
	fmt.Fprintf(env.stdout, "%s\n", key)
	fmt.Fprintf(env.stderr, "The key above is shown once; %s holds its hash, for %s.\n", c.KeysFile, strings.Join(c.Scopes, ", "))
	return nil
}
