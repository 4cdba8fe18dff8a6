import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Service } from './service.js';

/** Writing a file comes as several events; the last of them counts. */
const SETTLE_MILLISECONDS = 100;

interface ReloadEvents {
  onReload(): void;
  /** The file cannot be read, or is no model: the old one stays in service. */
  onFailure(error: Error): void;
}

/**
 * Watches the folder of the model file, since a file that is renamed over the old one is another file, and reloads when it
 * changes. Returns a function that ends it.
 */
export function watchModel(service: Service, events: ReloadEvents): () => void {
  const name = basename(service.path);
  let timer: NodeJS.Timeout | undefined;
  let loading: Promise<void> = Promise.resolve();
  let ended = false;
  const reload = async () => {
    if (ended) return;
    try {
      if ((await service.reload()) && !ended) events.onReload();
    } catch (error) {
      if (!ended) events.onFailure(error as Error);
    }
  };
  const reloadSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      // One after the other: the newest file is the last one in service.
      loading = loading.then(reload);
    }, SETTLE_MILLISECONDS);
  };
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(dirname(service.path), (_type, changed) => {
      if (changed === null || changed === name) reloadSoon();
    });
    watcher.on('error', (error) => events.onFailure(error));
  } catch (error) {
    // Systems have only so many watchers, and some file systems none: no reason not to serve.
    events.onFailure(error as Error);
  }
  // The file may have changed between its reading and the beginning of the watch.
  reloadSoon();
  return () => {
    ended = true;
    clearTimeout(timer);
    watcher?.close();
  };
}
