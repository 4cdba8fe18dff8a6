import { STATUS_CODES } from 'node:http';

/** An answer that says what was wrong with the request, or with the moment. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.name = 'HttpError';
    this.status = status;
    this.headers = headers;
  }
}

/** The body of every answer that is an error: a stable code, such as "not_found", and a sentence for people. */
export function errorBody(status: number, message: string): { error: { code: string; message: string } } {
  const code = (STATUS_CODES[status] ?? 'error').toLowerCase().replaceAll(/[^a-z]+/g, '_');
  return { error: { code, message } };
}
