package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/client"
)

// importColumns are the columns of a CSV file. hash is the same as digest.
var importColumns = []string{
	"key", "digest", "hash", "owner", "name", "scopes", "audience", "expires_at", "never_expires", "plan", "allowed_ips", "metadata",
}

// csv reads a table whose first row names the columns.
func (r *importReader) csv(text []byte) (lines []importLine, err error) {
	in := csv.NewReader(bytes.NewReader(text))
	in.TrimLeadingSpace, in.FieldsPerRecord = true, -1
	names, err := in.Read()
	if err == nil {
		err = checkColumns(names)
	}
	if err != nil {
		return nil, err
	}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		at, _ := in.FieldPos(0)
		lines = append(lines, r.row(at, names, row))
	}
}

// quotable matches names that an error may quote: they could not be keys.
var quotable = regexp.MustCompile(`^[A-Za-z_ ]{1,20}$`)

// checkColumns checks the first row and converts its names to lower case.
func checkColumns(names []string) error {
	for i := range names {
		name := strings.ToLower(strings.TrimSpace(names[i]))
		if !slices.Contains(importColumns, name) {
			quoted := ""
			if quotable.MatchString(names[i]) {
				quoted = " (" + strings.TrimSpace(names[i]) + ")"
			}
			return fmt.Errorf("line 1: column %d%s: the first row must name the columns, each one of %s",
				i+1, quoted, strings.Join(importColumns, ", "))
		}
		names[i] = name
	}
	has := func(name string) bool { return slices.Contains(names, name) }
	if !has("owner") || !has("key") && !has("digest") && !has("hash") {
		return errors.New("line 1: must name the column owner, and key or digest")
	}
	return nil
}

func (r *importReader) row(at int, names, row []string) importLine {
	l := importLine{place: fmt.Sprintf("line %d", at)}
	if len(row) != len(names) {
		l.fail(fmt.Errorf("the line has %d values, but the first line has %d", len(row), len(names)))
		return l
	}
	for i, value := range row {
		if value == "" {
			continue
		}
		if err := r.column(&l, names[i], value); err != nil {
			l.fail(fmt.Errorf("%s: %w", names[i], err))
		}
	}
	return r.complete(&l)
}

// complete checks that the line has a key or a digest, and finishes it.
func (r *importReader) complete(l *importLine) importLine {
	if l.key.Digest == "" {
		l.fail(errors.New("neither key nor digest has a value"))
	}
	return r.finish(l)
}

func (r *importReader) column(l *importLine, name, value string) (err error) {
	switch name {
	case "key":
		r.secret(l, value)
	case "digest", "hash":
		l.hash(value)
	case "owner":
		l.key.Owner = value
	case "name":
		l.key.Name = value
	case "scopes":
		l.key.Scopes = strings.Fields(value)
	case "audience":
		l.key.Audience = strings.Fields(value)
	case "allowed_ips":
		l.key.AllowedIPs = strings.Fields(value)
	case "plan":
		l.key.Plan = value
	case "expires_at":
		at, err := asTime(value, nil)
		if err != nil {
			return err
		}
		l.key.ExpiresAt = at.(time.Time)
	case "never_expires":
		if l.key.NeverExpires, err = strconv.ParseBool(value); err != nil {
			return errors.New("must be true or false")
		}
	case "metadata":
		metadata, err := asMetadata(value, nil)
		if err != nil {
			return err
		}
		l.key.Metadata = metadata.(json.RawMessage)
	}
	return nil
}

// jsonl reads lines that are objects with the members of the API, and key.
func (r *importReader) jsonl(text []byte) (lines []importLine, err error) {
	for at, line := range bytes.Split(text, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, r.object(at+1, line))
		}
	}
	return lines, nil
}

func (r *importReader) object(at int, line []byte) importLine {
	var in struct {
		client.ImportKey
		Key string `json:"key"`
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	l := importLine{place: fmt.Sprintf("line %d", at), key: in.ImportKey}
	if err == nil && decoder.More() {
		err = errNotObject
	}
	if err != nil {
		l.fail(memberFault(err))
		return l
	}
	l.key.Digest = ""
	if in.Key != "" {
		r.secret(&l, in.Key)
	}
	if in.Digest != "" {
		l.hash(in.Digest)
	}
	return r.complete(&l)
}

var errNotObject = errors.New("must be one JSON object")

// memberFault explains an error of encoding/json. It quotes nothing that could be a key.
func memberFault(err error) error {
	var wrong *json.UnmarshalTypeError
	var notTime *time.ParseError
	name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case unknown:
		if !quotable.MatchString(strings.Trim(name, `"`)) {
			name = "(its name could be a key)"
		}
		return fmt.Errorf("unknown member %s: must be one of the API's members for imports, or key", name)
	case errors.As(err, &wrong) && wrong.Field != "":
		kind, _, _ := strings.Cut(wrong.Value, " ")
		return fmt.Errorf("%s: must not be of the type %s", wrong.Field, kind)
	case errors.As(err, &notTime):
		return errors.New("expires_at: must be like 2026-01-31T12:00:00Z")
	}
	return errNotObject
}
