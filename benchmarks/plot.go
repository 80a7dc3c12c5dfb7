package main

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// line is one line of a plot. Each side has its colour; if a side has two figures, the worse one is dashed.
type line struct {
	name   string
	colour color.Color
	dashed bool
	keys   []int
	values []float64
}

// Colours that colour-blind readers can distinguish.
var (
	orange = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	blue   = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	green  = color.RGBA{0x00, 0x9e, 0x73, 0xff}
)

// plots writes one SVG each for latency, memory and propagation.
func (r *results) plots(dir string) error {
	return errors.Join(
		drawPlot(filepath.Join(dir, "latency.svg"), "Latency through Envoy, 1 connection", "ms", r.latencyLines()),
		drawPlot(filepath.Join(dir, "memory.svg"), "Memory", "MB", r.memoryLines()),
		drawPlot(filepath.Join(dir, "propagation.svg"), "From a change to its effect (jwt_authn: median, gateway: p99)", "ms",
			r.propagationLines()),
	)
}

// value returns a figure of one side at one rung, or 0 if it is unknown.
type value func(rung, *sideResult) float64

// line returns a side's figures for every number of keys at which the side was measured.
func (r *results) line(name, side string, colour color.Color, dashed bool, of value) line {
	l := line{name: name, colour: colour, dashed: dashed}
	for _, at := range r.ladder {
		if s := at.side(side); s != nil {
			if v := of(at, s); v > 0 {
				l.keys, l.values = append(l.keys, at.keys), append(l.values, v)
			}
		}
	}
	return l
}

// both returns a line for each side.
func (r *results) both(name string, dashed bool, of value) []line {
	return []line{r.line("jwt_authn, "+name, stock, orange, dashed, of), r.line("gateway, "+name, gateway, blue, dashed, of)}
}

func (r *results) latencyLines() []line {
	at := func(share float64) value {
		return func(_ rung, s *sideResult) float64 { return milliseconds(percentile(s.one.latencies, share)) }
	}
	return append(r.both("p99", true, at(.99)), r.both("median", false, at(.5))...)
}

func (r *results) memoryLines() []line {
	memory := func(s *sideResult) usage {
		if s.name == stock {
			return s.envoyMemory()
		}
		return s.memory[gatewayProcess]
	}
	peak := func(_ rung, s *sideResult) float64 { return float64(memory(s).peak) / 1e6 }
	resident := func(_ rung, s *sideResult) float64 { return float64(memory(s).resident) / 1e6 }
	server := func(at rung, _ *sideResult) float64 { return float64(at.server.resident) / 1e6 }
	return slices.Concat(r.both("peak", true, peak), r.both("resident", false, resident),
		[]line{r.line("server, resident", stock, green, false, server)})
}

// propagationLines shows the median for stock Envoy, since only a few changes are measured there.
func (r *results) propagationLines() []line {
	at := func(p propagation, s *sideResult) float64 {
		return milliseconds(percentile(p.took, map[string]float64{stock: .5, gateway: .99}[s.name]))
	}
	return append(r.both("issue", true, func(_ rung, s *sideResult) float64 { return at(s.issue, s) }),
		r.both("revocation", false, func(_ rung, s *sideResult) float64 { return at(s.revoke, s) })...)
}

// drawPlot draws the lines into a file. It writes no file if all lines are empty.
func drawPlot(file, title, unit string, lines []line) error {
	p, err := newPlot(title, unit, lines)
	if p == nil || err != nil {
		return err
	}
	canvas := vgsvg.New(18*vg.Centimeter, 11*vg.Centimeter)
	p.Draw(draw.New(canvas))
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(out)
	return errors.Join(err, out.Close())
}

// newPlot returns a plot with logarithmic axes and a tick for every number of keys, or nil if all lines are
// empty.
func newPlot(title, unit string, lines []line) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "keys", unit
	p.Title.TextStyle.Font.Size, p.Title.Padding = vg.Points(14), vg.Points(8)
	p.BackgroundColor = color.White
	low, high := math.Inf(1), 0.0
	ticks := map[int]bool{}
	p.Add(plotter.NewGrid())
	for _, l := range lines {
		for i, v := range l.values {
			low, high, ticks[l.keys[i]] = min(low, v), max(high, v), true
		}
		if err := l.addTo(p); err != nil {
			return nil, fmt.Errorf("plot %s: %w", title, err)
		}
	}
	if len(ticks) == 0 {
		return nil, nil
	}
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Min, p.X.Max, p.X.Tick.Marker = keyTicks(ticks)
	p.Y.Min, p.Y.Max, p.Y.Tick.Marker = decades(low, high)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(2)
	return p, nil
}

func (l line) addTo(p *plot.Plot) error {
	if len(l.values) == 0 {
		return nil
	}
	points := make(plotter.XYs, len(l.values))
	for i, v := range l.values {
		points[i] = plotter.XY{X: float64(l.keys[i]), Y: v}
	}
	drawn, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	drawn.Color, drawn.Width = l.colour, vg.Points(2)
	dots.Color, dots.Shape, dots.Radius = l.colour, draw.CircleGlyph{}, vg.Points(2.5)
	if l.dashed {
		drawn.Dashes = []vg.Length{vg.Points(6), vg.Points(4)}
	}
	p.Add(drawn, dots)
	p.Legend.Add(l.name, drawn, dots)
	return nil
}

func keyTicks(keys map[int]bool) (low, high float64, ticks plot.ConstantTicks) {
	low = math.Inf(1)
	for n := range keys {
		low, high = min(low, float64(n)), max(high, float64(n))
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: count(n)})
	}
	return low / 1.5, high * 3, ticks
}

// decades returns the powers of ten that enclose low to high, plus one more above to leave room for the legend.
func decades(low, high float64) (from, to float64, ticks plot.ConstantTicks) {
	first, last := int(math.Floor(math.Log10(low))), int(math.Ceil(math.Log10(high)))+1
	for e := first; e <= last; e++ {
		ticks = append(ticks, plot.Tick{Value: math.Pow10(e), Label: figure(math.Pow10(e))})
	}
	return math.Pow10(first), math.Pow10(last), ticks
}
