import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import type { SandboxLimits, SandboxWork } from './types.ts';

/** Slots of the memory that both threads see. */
const replyReady = 0;
const cancelled = 1;

/** A program's call to the host. `args` is JSON text that the program wrote: not to be trusted. */
export interface HostCall {
  readonly kind: 'call';
  readonly method: string;
  readonly args: string;
}

/** The thread is up and has taken the program. */
export interface ProgramBegin {
  readonly kind: 'begin';
}

/** What came of a program, as the thread reports it. */
export interface ProgramEnd {
  readonly kind: 'done';
  readonly output: string;
  readonly value?: string;
  readonly error?: string;
  readonly answer?: string | undefined;
  /** Global variables that exist now. */
  readonly names: readonly string[];
  /** Why all variables had to be thrown away before it ran. */
  readonly resetReason?: string;
  /** Variables fill the memory: the thread is to be ended, for only that gives it back. */
  readonly isFull: boolean;
  readonly work: SandboxWork;
}

/** From the thread to its owner. */
export type FromThread = ProgramBegin | HostCall | ProgramEnd;

/** From the owner to the thread: a program to run. */
export interface ProgramStart {
  readonly kind: 'run';
  readonly code: string;
  readonly callNumber: number;
  readonly lengthChars: number;
}

/** From the owner to the thread, the reply to a {@link HostCall}. */
export interface HostReply {
  readonly kind: 'reply';
  /**
   * `T` text as it is, `J` JSON text, `E` an error's message: the first letter says which. `B` is
   * JSON text to which `bytes` belong.
   */
  readonly tagged: string;
  /** A text in UTF-8. Handed over, not copied. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
  /** Characters of stored text in `bytes`, for the account. */
  readonly chars?: number;
}

/** A {@link HostReply} before it is sent. */
export type Reply = Omit<HostReply, 'kind'>;

/** What a thread is started with. */
export interface ThreadData {
  readonly control: Int32Array;
  readonly limits: SandboxLimits;
  /** QuickJS, compiled. */
  readonly quickJs: WebAssembly.Module;
}

/** The memory that both threads see. */
export function createMailbox(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** Owner's side: hands over the reply and wakes the thread. */
export function answerCall(
  control: Int32Array,
  send: (reply: HostReply) => void,
  reply: Reply,
): void {
  send({ kind: 'reply', ...reply });
  Atomics.store(control, replyReady, 1);
  Atomics.notify(control, replyReady);
}

/** Owner's side: asks the program to stop at its next look (`true`), or clears that. */
export function setCancelled(control: Int32Array, value: boolean): void {
  Atomics.store(control, cancelled, value ? 1 : 0);
}

/** Thread's side: whether the owner wants the program stopped. */
export function isCancelled(control: Int32Array): boolean {
  return Atomics.load(control, cancelled) === 1;
}

/** Thread's side: sends a call and blocks until its reply is there. */
export function callAndWait(
  control: Int32Array,
  port: MessagePort,
  call: { readonly method: string; readonly args: string },
): Reply {
  Atomics.store(control, replyReady, 0);
  port.postMessage({ kind: 'call', ...call } satisfies HostCall);
  while (Atomics.load(control, replyReady) === 0) Atomics.wait(control, replyReady, 0);
  const received: { readonly message: HostReply } | undefined = receiveMessageOnPort(port);
  return received?.message ?? { tagged: 'Ethe host gave no reply' };
}
