package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// figure writes a number with three significant digits. It keeps all digits before the decimal point.
func figure(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "–"
	}
	if math.Abs(x) >= 1000 {
		return count(int64(math.Round(x)))
	}
	digits := 2
	if size := math.Abs(x); size >= 1 {
		digits -= int(math.Log10(size))
	} else if size > 0 {
		digits -= int(math.Floor(math.Log10(size)))
	}
	text := strconv.FormatFloat(x, 'f', max(0, digits), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// count writes a whole number with commas.
func count[T int | int64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// duration writes a time in a fitting unit, or "–" if there is none.
func duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Microsecond:
		return fmt.Sprint(int64(d), " ns")
	case d < time.Millisecond:
		return figure(float64(d)/float64(time.Microsecond)) + " µs"
	case d < time.Second:
		return figure(milliseconds(d)) + " ms"
	default:
		return figure(d.Seconds()) + " s"
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// size writes bytes.
func size(bytes int64) string {
	switch {
	case bytes <= 0:
		return "–"
	case bytes < 10_000:
		return count(bytes) + " B"
	case bytes < 1_000_000:
		return figure(float64(bytes)/1e3) + " kB"
	default:
		return figure(float64(bytes)/1e6) + " MB"
	}
}

// table is a table of a report, in GitHub's Markdown.
type table struct {
	title string
	note  string
	head  []string
	rows  [][]string
}

// ratio is a number of times.
type ratio float64

// add appends a row; the type of each value determines its format. An int64 is a number of bytes. A list of
// times makes two cells: the median and the p99.
func (t *table) add(values ...any) {
	var row []string
	for _, value := range values {
		switch value := value.(type) {
		case string:
			row = append(row, value)
		case int:
			row = append(row, count(value))
		case int64:
			row = append(row, size(value))
		case float64:
			row = append(row, figure(value))
		case ratio:
			row = append(row, figure(float64(value))+" ×")
		case time.Duration:
			row = append(row, duration(value))
		case []time.Duration:
			row = append(row, duration(percentile(value, .5)), duration(percentile(value, .99)))
		default:
			panic(fmt.Sprintf("no cell for a %T", value))
		}
	}
	t.rows = append(t.rows, row)
}

func (t *table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", t.title)
	if t.note != "" {
		fmt.Fprintf(&b, "%s\n\n", t.note)
	}
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(t.head)))
	for _, row := range t.rows {
		line(row)
	}
	b.WriteByte('\n')
	return b.String()
}
