/* global uPlot */
/** Draws the page's charts with uPlot, from the data beside each, and again whenever the colours or the width change. */
{
  const root = document.documentElement;
  const HEIGHT = 260;
  /** CSS pixels: what fits on a sheet of A4 or Letter. */
  const PAPER_WIDTH = 620;
  /** A marker on each value, up to so many. */
  const MOST_MARKERS = 40;

  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const font = () => `12px ${getComputedStyle(document.body).fontFamily}`;

  /** As src/report/numbers.ts has it. */
  const formats = {
    percent: (value) => `${(value * 100).toFixed(2)} %`,
    count: (value) => Math.round(value).toLocaleString('en-US'),
    loss: (value) => value.toFixed(4),
    plain: (value) => String(Number(value.toPrecision(4))),
  };
  const format = (value, name) => (value === null || value === undefined ? '–' : formats[name](value));

  /** Marks of an axis are round numbers: they need fewer digits than values do. */
  function mark(value, name) {
    if (value === null) return '';
    const short = String(Number((name === 'percent' ? value * 100 : value).toPrecision(6)));
    return name === 'percent' ? `${short} %` : name === 'count' ? Number(short).toLocaleString('en-US') : short;
  }

  /** Lines differ in colour, in their dashes and in their markers. */
  const LINES = [
    { color: '--series-1', dash: [], legend: 'solid', filled: true },
    { color: '--series-2', dash: [7, 4], legend: 'dashed', filled: false },
    { color: '--series-3', dash: [2, 3], legend: 'dotted', filled: true },
  ];

  /** Epochs and images are counted in whole numbers. */
  const WHOLE_STEPS = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));
  const powersOfTen = (_plot, marks) => marks.map((value) => (Number.isInteger(Math.log10(value)) ? value : null));

  function axisOf({ label, format: name, scale }, side) {
    const upright = side === 3;
    const filter = scale === 'logarithmic' && { filter: powersOfTen };
    const line = { stroke: () => color('--grid'), width: 1, ...filter };
    return {
      side,
      label,
      labelSize: upright ? 22 : 20,
      labelGap: 0,
      labelFont: font(),
      font: font(),
      stroke: () => color('--quiet'),
      grid: line,
      ticks: { ...line, size: 5 },
      space: upright ? 30 : 56,
      incrs: name === 'count' ? WHOLE_STEPS : undefined,
      values: (_plot, marks) => marks.map((value) => mark(value, name)),
      size: upright ? (_plot, texts) => 16 + 7 * Math.max(3, ...(texts ?? []).map((text) => text.length)) : 34,
      ...filter,
    };
  }

  function scaleOf({ range, scale }) {
    return { time: false, distr: scale === 'logarithmic' ? 3 : 1, ...(range && { range: () => range }) };
  }

  function seriesOf({ label, values, draw }, place, y, last) {
    const reference = draw === 'reference';
    const line = LINES[place % LINES.length];
    const stroke = () => color(reference ? '--reference' : line.color);
    return {
      label,
      stroke,
      width: reference ? 1.5 : 2,
      dash: reference ? [2, 4] : line.dash,
      pxAlign: 0,
      spanGaps: draw !== 'bars',
      points: {
        show: draw === 'line' && values.filter((value) => value !== null).length <= MOST_MARKERS,
        size: 7,
        width: 2,
        stroke,
        fill: () => color(line.filled ? line.color : '--card'),
      },
      ...(draw === 'bars' && { paths: uPlot.paths.bars({ size: [0.9, 80] }), fill: stroke, width: 0 }),
      // Where nobody points, the last value.
      value: (_plot, _value, _series, index) => (reference ? '' : format(values[index ?? last], y.format)),
    };
  }

  /** The page's style gives them their form, and colours that follow the scheme. */
  function markersOf(series) {
    const lineOf = (index) => LINES[(index - 1) % LINES.length];
    const variable = (index) => `var(${series[index - 1].draw === 'reference' ? '--reference' : lineOf(index).color})`;
    return {
      width: 3,
      dash: (_plot, index) => (series[index - 1].draw === 'reference' ? 'dotted' : lineOf(index).legend),
      stroke: (_plot, index) => variable(index),
      fill: () => 'none',
    };
  }

  function cursorColors(series) {
    const { stroke } = markersOf(series);
    return { stroke, fill: stroke };
  }

  /** The last place where there is something besides references. */
  const lastPlace = ({ x, series }) =>
    x.values.findLastIndex((_, place) =>
      series.some(({ draw, values }) => draw !== 'reference' && values[place] !== null),
    );

  function optionsOf({ x, y, series }, width) {
    const last = lastPlace({ x, series });
    return {
      width,
      height: HEIGHT,
      padding: [10, 24, 0, 0],
      // Nothing to drag: there is no finer picture than this one.
      cursor: { y: false, drag: { x: false, y: false, setScale: false }, points: { size: 9, ...cursorColors(series) } },
      legend: { markers: markersOf(series) },
      scales: { x: scaleOf(x), y: scaleOf(y) },
      axes: [axisOf(x, 2), axisOf(y, 3)],
      series: [
        { label: x.label, value: (_plot, _value, _series, index) => format(x.values[index ?? last], x.format) },
        ...series.map((each, place) => seriesOf(each, place, y, last)),
      ],
    };
  }

  function draw(figure) {
    const chart = JSON.parse(figure.querySelector('.chart-data').textContent);
    const place = figure.querySelector('.plot');
    place.hidden = false;
    const data = [chart.x.values, ...chart.series.map(({ values }) => values)];
    const plot = new uPlot(optionsOf(chart, place.clientWidth), data, place);
    figure.querySelector('details').open = false;
    return { place, plot };
  }

  const charts = [...document.querySelectorAll('.chart')].map(draw);
  const size = (width) => {
    for (const { place, plot } of charts) plot.setSize({ width: width ?? place.clientWidth, height: HEIGHT });
  };
  const recolor = () => {
    for (const { plot } of charts) plot.redraw(false, true);
  };
  /** Canvases are not laid out anew for paper: they are drawn for it before. */
  const forPaper = (printing) => {
    root.classList.toggle('printing', printing);
    size(printing ? PAPER_WIDTH : undefined);
    recolor();
  };

  new ResizeObserver(() => {
    if (!root.classList.contains('printing')) size();
  }).observe(document.body);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolor);
  addEventListener('beforeprint', () => forPaper(true));
  addEventListener('afterprint', () => forPaper(false));
}
