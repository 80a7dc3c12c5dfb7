package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// figure writes a number with three significant digits, or all it has before the point.
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

// duration writes a time in the unit that suits it; – for none.
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

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

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
		return figure(megabytes(bytes)) + " MB"
	}
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprint(n, " connections")
}

// table is one of a report's, in GitHub's Markdown.
type table struct {
	title string
	note  string
	head  []string
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

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
