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
      if (await service.reload()) events.onReload();
    } catch (error) {
      events.onFailure(error as Error);
    }
  };
  const watcher: FSWatcher = watch(dirname(service.path), (_type, changed) => {
    if (changed !== null && changed !== name) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      // One after the other: the newest file is the last one in service.
      loading = loading.then(reload);
    }, SETTLE_MILLISECONDS);
  });
  watcher.on('error', (error) => events.onFailure(error));
  return () => {
    ended = true;
    clearTimeout(timer);
    watcher.close();
  };
}
