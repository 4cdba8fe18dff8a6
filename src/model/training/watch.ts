import type { RunOptions, RunProgress } from '../../backends/backend.js';
import { linkedController } from '../abort.js';

interface Watch extends Required<RunOptions> {
  /** Takes the listeners off again. */
  end(): void;
  /** Throws what the caller's function threw. */
  rethrow(): void;
  /** Whether `interrupt` ended the run. */
  readonly interrupted: boolean;
}

interface Watched {
  signal?: AbortSignal;
  report?: (progress: RunProgress) => void;
  /** Asked with every report: true ends the run after its step. */
  interrupt?: () => boolean;
}

/**
 * Run options that end the run early when the caller's signal does, when a loss is not finite any more, when something
 * else is due, or when the caller's function throws; `rethrow` brings that error out after the run.
 */
export function watch({ signal, report, interrupt }: Watched): Watch {
  const { controller, unlink } = linkedController(signal);
  let failure: { error: unknown } | null = null;
  let interrupted = false;
  return {
    signal: controller.signal,
    // All else comes between steps.
    undo: signal !== undefined,
    onProgress: (progress) => {
      if (failure) return;
      if (!Number.isFinite(progress.lossSum)) controller.abort();
      else if (progress.samples > 0) {
        try {
          report?.(progress);
        } catch (error) {
          failure = { error };
          controller.abort();
        }
        if (interrupt?.()) {
          interrupted = true;
          controller.abort();
        }
      }
    },
    end: unlink,
    rethrow: () => {
      if (failure) throw failure.error;
    },
    get interrupted() {
      return interrupted;
    },
  };
}
