package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// useConfigFile reads the file that --config or BOXOFFICE_CONFIG names, before
// the flags are parsed.
func useConfigFile(parser *kong.Kong, args []string) error {
	path := os.Getenv("BOXOFFICE_CONFIG")
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--config="); ok {
			path = value
		} else if arg == "--config" && i+1 < len(args) {
			path = args[i+1]
		}
	}
	if path == "" {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the settings file cannot be read: %w", err)
	}
	settings := map[string]any{}
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&settings); err != nil {
		return fmt.Errorf("the settings file %s is not 'flag-name: value' lines: %w", path, err)
	}
	if err := refuseUnknown(parser.Model, path, settings); err != nil {
		return err
	}
	return kong.Resolvers(fileResolver(settings)).Apply(parser)
}

// fileResolver gives a flag the file's value unless the environment has one.
func fileResolver(settings map[string]any) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if flag.Tag.Has("env") && len(flag.Envs) == 0 {
			return nil, nil // for the command line alone
		}
		for _, name := range flag.Envs {
			if _, set := os.LookupEnv(name); set {
				return nil, nil
			}
		}
		value, ok := settings[flag.Name]
		if !ok {
			return nil, nil
		}
		if list, ok := value.([]any); ok {
			parts := make([]string, len(list))
			for i, part := range list {
				parts[i] = fmt.Sprint(part)
			}
			return strings.Join(parts, ","), nil
		}
		return fmt.Sprint(value), nil
	})
}

// refuseUnknown catches misspelt settings, which would otherwise be ignored in
// silence.
func refuseUnknown(app *kong.Application, path string, settings map[string]any) error {
	known := map[string]bool{}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known[flag.Name] = true
		}
		return next(nil)
	})
	for name := range settings {
		if !known[name] {
			return fmt.Errorf("the settings file %s has an unknown setting %q; docs/CONFIG.md lists them all", path, name)
		}
	}
	return nil
}
