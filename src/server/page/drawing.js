/** Pixels on a side of the drawing; the canvas has as many. */
const SIDE = 280;
/** MNIST's strokes are about a tenth as wide as its digits are high. */
const STROKE = 22;
const STEP = 10;
const LONG_STEP = 40;

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** A canvas to draw on, light on black, with mouse, pen, finger or keyboard. Calls `onChange` after every stroke. */
export class Drawing {
  #canvas;
  #context;
  #brush;
  #onChange;
  #tell;
  #pointer = null;
  /** Where the stroke has come to, or the brush of the keyboard. */
  #at = [SIDE / 2, SIDE / 2];
  #penIsDown = false;
  #empty = true;

  /** `board` takes the keys, `brush` shows where the keyboard's brush is; `tell` says so in words. */
  constructor({ board, canvas, brush, onChange, tell }) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { willReadFrequently: true });
    this.#brush = brush;
    this.#onChange = onChange;
    this.#tell = tell;
    this.#context.lineCap = 'round';
    this.#context.lineJoin = 'round';
    this.#context.lineWidth = STROKE;
    this.#context.strokeStyle = '#fff';
    this.#wipe();
    board.tabIndex = 0;
    canvas.addEventListener('pointerdown', (event) => this.#begin(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    for (const type of ['pointerup', 'pointercancel']) canvas.addEventListener(type, (event) => this.#end(event));
    board.addEventListener('keydown', (event) => this.#key(event));
    board.addEventListener('focus', () => board.matches(':focus-visible') && this.#showBrush());
    board.addEventListener('blur', () => this.#leave());
  }

  get empty() {
    return this.#empty;
  }

  get width() {
    return SIDE;
  }

  get height() {
    return SIDE;
  }

  /** A byte a pixel, row by row: 0 black, 255 ink. */
  bytes() {
    const { data } = this.#context.getImageData(0, 0, SIDE, SIDE);
    const bytes = new Uint8Array(SIDE * SIDE);
    for (let pixel = 0; pixel < bytes.length; pixel++) bytes[pixel] = data[pixel * 4];
    return bytes;
  }

  clear() {
    this.#wipe();
    this.#penIsDown = false;
    this.#brush.classList.remove('down');
    this.#onChange();
  }

  #wipe() {
    this.#context.fillStyle = '#000';
    this.#context.fillRect(0, 0, SIDE, SIDE);
    this.#empty = true;
  }

  #begin(event) {
    // The first finger draws; a second one does not.
    if (this.#pointer !== null || event.button !== 0) return;
    this.#brush.hidden = true;
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#at = this.#placeOf(event);
    this.#lineTo(this.#at);
    this.#onChange();
  }

  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length > 0 ? all : [event]) this.#lineTo(this.#placeOf(each));
    this.#onChange();
  }

  #end(event) {
    if (event.pointerId === this.#pointer) this.#pointer = null;
  }

  #placeOf({ clientX, clientY }) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return [((clientX - left) / width) * SIDE, ((clientY - top) / height) * SIDE];
  }

  #lineTo(place) {
    this.#context.beginPath();
    this.#context.moveTo(...this.#at);
    // A line without length is not drawn, and a touch of the pen shall leave a dot.
    this.#context.lineTo(place[0], place[1] + 0.01);
    this.#context.stroke();
    this.#at = place;
    this.#empty = false;
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const move = MOVES[event.key];
    if (move) {
      const step = event.shiftKey ? LONG_STEP : STEP;
      const place = this.#at.map((from, axis) => clamp(from + move[axis] * step, STROKE / 2, SIDE - STROKE / 2));
      if (this.#penIsDown) {
        this.#lineTo(place);
        this.#onChange();
      }
      this.#at = place;
    } else if (event.key === ' ') {
      if (event.repeat) return event.preventDefault();
      this.#penIsDown = !this.#penIsDown;
      if (this.#penIsDown) {
        this.#lineTo(this.#at);
        this.#onChange();
      }
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    this.#showBrush();
    this.#say();
  }

  #showBrush() {
    const [left, top] = this.#at.map((value) => clamp(value, 0, SIDE));
    this.#brush.style.left = `${(left / SIDE) * 100}%`;
    this.#brush.style.top = `${(top / SIDE) * 100}%`;
    this.#brush.classList.toggle('down', this.#penIsDown);
    this.#brush.hidden = false;
  }

  #say() {
    const [across, down] = this.#at.map((value) => Math.round((value / SIDE) * 100));
    const pen = this.#penIsDown ? 'Brush down' : 'Brush up';
    this.#tell(`${pen}, ${across} % from the left, ${down} % from the top`);
  }

  #leave() {
    this.#brush.hidden = true;
    this.#penIsDown = false;
    this.#tell('');
  }
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
