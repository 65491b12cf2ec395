package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/simulation"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/reports"
)

// docsCommand writes the documents that are generated from the code.
type docsCommand struct {
	Dir string `arg:"" help:"Folder to write to." type:"existingdir"`
}

// Run implements the command.
func (c *docsCommand) Run(context.Context, *environment) error {
	for name, write := range map[string]func(io.Writer) error{
		"TOPOLOGY.md":  topology.WritePage,
		"CONFIG.md":    writeConfigPage,
		"ERRORS.md":    problem.WritePage,
		"CONTROLS.md":  simulation.WritePage,
		"ANALYTICS.md": reports.WritePage,
	} {
		if err := writeFile(filepath.Join(c.Dir, name), write); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

// writeConfigPage lists every command and setting from the same model that
// parses them.
func writeConfigPage(w io.Writer) error {
	parser, err := kong.New(&cli{}, kong.Name("boxoffice"), kong.DefaultEnvars("BOXOFFICE"), kong.Vars{"version": ""})
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("# Commands and settings\n\nGenerated from the command line; `make generate` rewrites it.\n\n" +
		"Every setting is a flag, an environment variable, and a line of the file that `--config` names. A flag beats the\n" +
		"environment, which beats the file.\n\n## Everywhere\n\n")
	writeFlags(&b, parser.Model.Flags)
	for _, leaf := range parser.Model.Leaves(true) {
		fmt.Fprintf(&b, "## boxoffice %s\n\n%s\n\n", commandPath(leaf), leaf.Help)
		writeFlags(&b, leaf.Flags)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func commandPath(node *kong.Node) string {
	var words []string
	for n := node; n.Parent != nil; n = n.Parent {
		words = append([]string{n.Name}, words...)
	}
	for _, arg := range node.Positional {
		words = append(words, strings.ToUpper(arg.Name))
	}
	return strings.Join(words, " ")
}

func writeFlags(b *strings.Builder, flags []*kong.Flag) {
	var rows []string
	for _, flag := range flags {
		if flag.Name == "help" || flag.Hidden {
			continue
		}
		rows = append(rows, fmt.Sprintf("| `--%s` | %s | %s | %s |\n",
			flag.Name, code(strings.Join(flag.Envs, ", ")), code(flag.Default), strings.ReplaceAll(flag.Help, "|", "\\|")))
	}
	if len(rows) == 0 {
		return
	}
	b.WriteString("| flag | environment | default | what |\n| --- | --- | --- | --- |\n" + strings.Join(rows, "") + "\n")
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
