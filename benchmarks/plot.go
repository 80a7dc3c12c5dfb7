package main

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// line is one of a plot's: a colour for who, dashes for the worse of two figures.
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
		drawPlot(filepath.Join(dir, "propagation.svg"), "From a change's answer to the first decision by it", "ms", r.propagationLines()),
	)
}

func (r *results) line(name, side string, colour color.Color, dashed bool, value func(rung, *sideResult) float64) line {
	keys, values := r.series(side, value)
	return line{name, colour, dashed, keys, values}
}

func (r *results) latencyLines() []line {
	at := func(share float64) func(rung, *sideResult) float64 {
		return func(_ rung, s *sideResult) float64 { return milliseconds(percentile(s.one.latencies, share)) }
	}
	return []line{
		r.line("jwt_authn, p99", stock, orange, true, at(.99)),
		r.line("jwt_authn, median", stock, orange, false, at(.5)),
		r.line("gateway, p99", gateway, blue, true, at(.99)),
		r.line("gateway, median", gateway, blue, false, at(.5)),
	}
}

func (r *results) memoryLines() []line {
	envoy := func(_ rung, s *sideResult) usage { return s.envoyMemory() }
	service := func(_ rung, s *sideResult) usage { return s.memory[gatewayProcess] }
	peak := func(of func(rung, *sideResult) usage) func(rung, *sideResult) float64 {
		return func(at rung, s *sideResult) float64 { return megabytes(of(at, s).peak) }
	}
	resident := func(of func(rung, *sideResult) usage) func(rung, *sideResult) float64 {
		return func(at rung, s *sideResult) float64 { return megabytes(of(at, s).resident) }
	}
	return []line{
		r.line("jwt_authn, peak", stock, orange, true, peak(envoy)),
		r.line("jwt_authn, resident", stock, orange, false, resident(envoy)),
		r.line("gateway, peak", gateway, blue, true, peak(service)),
		r.line("gateway, resident", gateway, blue, false, resident(service)),
		r.line("server, resident", stock, green, false, resident(func(at rung, _ *sideResult) usage { return at.server })),
	}
}

func (r *results) propagationLines() []line {
	at := func(of func(*sideResult) []time.Duration, share float64) func(rung, *sideResult) float64 {
		return func(_ rung, s *sideResult) float64 { return milliseconds(percentile(of(s), share)) }
	}
	revoke := func(s *sideResult) []time.Duration { return s.revoke.took }
	issue := func(s *sideResult) []time.Duration { return s.issue.took }
	return []line{
		r.line("jwt_authn, issue, median", stock, orange, true, at(issue, .5)),
		r.line("jwt_authn, revocation, median", stock, orange, false, at(revoke, .5)),
		r.line("gateway, issue, p99", gateway, blue, true, at(issue, .99)),
		r.line("gateway, revocation, p99", gateway, blue, false, at(revoke, .99)),
	}
}

// drawPlot writes nothing where there is nothing to draw.
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

// newPlot returns nil where there is nothing to draw. Both axes are logarithmic,
// with a tick at every number of keys.
func newPlot(title, unit string, lines []line) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "keys", unit
	p.Title.TextStyle.Font.Size, p.Title.Padding = vg.Points(14), vg.Points(8)
	p.BackgroundColor = color.White
	low, high := math.Inf(1), 0.0
	ticks := map[int]bool{}
	p.Add(plotter.NewGrid())
	for _, l := range lines {
		if len(l.values) == 0 {
			continue
		}
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

// decades covers low to high with whole powers of ten, and leaves one above for the
// legend.
func decades(low, high float64) (from, to float64, ticks plot.ConstantTicks) {
	first, last := int(math.Floor(math.Log10(low))), int(math.Ceil(math.Log10(high)))+1
	for e := first; e <= last; e++ {
		ticks = append(ticks, plot.Tick{Value: math.Pow10(e), Label: figure(math.Pow10(e))})
	}
	return math.Pow10(first), math.Pow10(last), ticks
}
