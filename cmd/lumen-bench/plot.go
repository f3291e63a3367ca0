package main

import (
	"errors"
	"image/color"
	"os"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// colours are those of Okabe and Ito, which most eyes can tell apart, on white and in print.
var colours = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff},
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, color.RGBA{0x56, 0xb4, 0xe9, 0xff},
}

// plot draws the curves, one panel beside the other.
func (r *report) plot(path string) error {
	var panels []*plot.Plot
	for _, of := range []struct {
		axis   string
		curves []curve
	}{{"customers in one merchant", r.Sizes}, {"merchants", r.Crowds}} {
		if len(of.curves) == 0 {
			continue
		}
		panel, err := newPanel(of.axis, of.curves)
		if err != nil {
			return err
		}
		panels = append(panels, panel)
	}
	return drawPanels(path, panels)
}

// newPlot returns an empty plot of positive values, with its legend at the top left.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.Y.Min, p.Legend.Top, p.Legend.Left = 0, true, true
	p.Add(plotter.NewGrid())
	return p
}

// drawPanels draws one panel beside the other. Without panels it draws nothing.
func drawPanels(path string, panels []*plot.Plot) error {
	if len(panels) == 0 {
		return nil
	}
	for _, p := range panels {
		p.Y.Max *= 1.5 // for the legend
	}
	canvas := vgsvg.New(vg.Length(len(panels))*13*vg.Centimeter, 9*vg.Centimeter)
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: vg.Centimeter, PadLeft: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter, PadTop: 2 * vg.Millimeter}
	for i, area := range plot.Align([][]*plot.Plot{panels}, tiles, draw.New(canvas))[0] {
		panels[i].Draw(area)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(file); err != nil {
		return errors.Join(err, file.Close())
	}
	return file.Close()
}

// newPanel returns a panel with sizes on a logarithmic axis from left to right, and latencies from
// 0 up.
func newPanel(axis string, curves []curve) (*plot.Plot, error) {
	p := newPlot(axis, "median latency, ms")
	p.X.Scale = plot.LogScale{}
	var ticks plot.ConstantTicks
	for _, point := range curves[0].Points {
		ticks = append(ticks, plot.Tick{Value: float64(point.Size), Label: strconv.Itoa(point.Size)})
	}
	p.X.Tick.Marker = ticks
	for i, c := range curves {
		var points plotter.XYs
		for _, at := range c.Points {
			points = append(points, plotter.XY{X: float64(at.Size), Y: ms(median(at.Medians))})
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, dots.Color, line.Width = colours[i], colours[i], 1.5*vg.Millimeter/3
		dots.Shape = draw.CircleGlyph{}
		p.Add(line, dots)
		p.Legend.Add(c.Name, line, dots)
	}
	return p, nil
}

// plot draws memory and latency over time.
func (s *soaked) plot(path string) error {
	if s == nil {
		return nil
	}
	memory, waiting := newPlot("minutes", "memory, MiB"), newPlot("minutes", "latency, ms")
	over := func(at time.Duration, y float64) plotter.XY { return plotter.XY{X: at.Minutes(), Y: y} }
	var resident, heap, p50, p99 plotter.XYs
	for _, v := range s.Vitals {
		resident, heap = append(resident, over(v.At, v.Resident/(1<<20))), append(heap, over(v.At, v.Heap/(1<<20)))
	}
	for _, one := range s.Stretches {
		p50, p99 = append(p50, over(one.At, ms(one.P50))), append(p99, over(one.At, ms(one.P99)))
	}
	for _, of := range []struct {
		panel  *plot.Plot
		name   string
		points plotter.XYs
		colour color.Color
	}{
		{memory, "resident", resident, colours[0]}, {memory, "Go heap when collected", heap, colours[2]},
		{waiting, "p99", p99, colours[1]}, {waiting, "p50", p50, colours[3]},
	} {
		line, err := plotter.NewLine(of.points)
		if err != nil {
			return err
		}
		line.Color = of.colour
		of.panel.Add(line)
		of.panel.Legend.Add(of.name, line)
	}
	return drawPanels(path, []*plot.Plot{memory, waiting})
}
