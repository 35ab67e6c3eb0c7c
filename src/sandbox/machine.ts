import type { QuickJSContext, QuickJSHandle, QuickJSRuntime } from 'quickjs-emscripten-core';
import { describeFailure, type Failure } from './failure.ts';
import { preludeSource } from './prelude.ts';
import { persistDeclarations } from './program.ts';
import { type BoundedQuickJs, instantiateQuickJs } from './quickjs.ts';
import type { SandboxLimits } from './types.ts';

/**
 * QuickJS's `JS_EVAL_FLAG_ASYNC`: a global program that may `await`; gives a promise of `{ value
 * }`.
 */
const evalAsync = 128;

/**
 * Share of the memory that must be free in one piece for the next program; with less of it all
 * variables go.
 */
const memoryShareToWork = 0.25;

/** How a program ended inside the machine. */
export interface MachineEnd {
  /** Why all variables had to be thrown away before it ran. */
  readonly resetReason?: string;
  readonly value?: string;
  readonly error?: string;
  /** The memory is too full for another program, or in a state that no other should run in. */
  readonly isFull?: boolean;
}

/** One program to run. */
interface Program {
  readonly code: string;
  /** Counts the programs of the chat, from 1: error places name it. */
  readonly callNumber: number;
  /** Length of the context, code points. */
  readonly lengthChars: number;
}

/** What the machine's owner does for it. All of it is called while a program runs. */
export interface MachineOwner {
  /** Serves one call: method and JSON text in, tagged text out. Blocks. */
  call(method: string, args: string): string;
  /** The UTF-8 bytes that the last call's reply has announced, once. */
  takeBytes(): Uint8Array;
  /** Whether the program must stop now, and why. */
  interrupted(): string | undefined;
}

/**
 * One QuickJS in WebAssembly: the realm in which one chat's programs run. Not shared, not
 * thread-safe.
 */
export class Machine {
  readonly #engine: BoundedQuickJs;
  readonly #runtime: QuickJSRuntime;
  readonly #limits: SandboxLimits;
  readonly #owner: MachineOwner;
  #vm: QuickJSContext;
  #bridge: QuickJSHandle;
  #stopReason: string | undefined;

  static async create(
    module: WebAssembly.Module,
    limits: SandboxLimits,
    owner: MachineOwner,
  ): Promise<Machine> {
    return new Machine(await instantiateQuickJs(module, limits.memoryBytes), limits, owner);
  }

  constructor(engine: BoundedQuickJs, limits: SandboxLimits, owner: MachineOwner) {
    const runtime = engine.quickJs.newRuntime();
    this.#engine = engine;
    this.#runtime = runtime;
    this.#limits = limits;
    this.#owner = owner;
    runtime.setMaxStackSize(limits.stackBytes);
    runtime.setInterruptHandler(() => {
      this.#stopReason ??= owner.interrupted();
      return this.#stopReason !== undefined;
    });
    this.#vm = runtime.newContext();
    this.#bridge = this.#createBridge();
  }

  /** Runs one program. @throws Error if the engine itself breaks down */
  run(program: Program): MachineEnd {
    const refusals = this.#engine.refusals();
    const hasRunOut = (): boolean => this.#engine.refusals() > refusals;
    const outOfMemory = `out of memory: a program and its variables have ${Math.round(this.#limits.memoryBytes / 1_048_576)} MiB`;
    try {
      const end = this.#run(program);
      if (end.error === undefined || !hasRunOut()) return end;
      // Without memory for an error object, the engine throws whatever it has.
      const isSound = /^\w*Error: /.test(end.error) || this.#stopReason !== undefined;
      if (!isSound) return { error: outOfMemory, isFull: true };
      const isSaid = end.error.includes('out of memory');
      const error = isSaid ? end.error : `${end.error}\n(${outOfMemory})`;
      return { ...end, error, isFull: this.#isFull() };
    } catch (error) {
      if (!hasRunOut()) throw error;
      return { error: outOfMemory, isFull: true };
    }
  }

  #run(program: Program): MachineEnd {
    this.#stopReason = undefined;
    if (this.#install(program.lengthChars)) return this.#evaluate(program);
    if (this.#stopReason !== undefined) return { error: this.#stopReason };
    this.#reset();
    this.#install(program.lengthChars);
    const resetReason =
      'an earlier program had made `context` unusable, so all variables were thrown away';
    return { ...this.#evaluate(program), resetReason };
  }

  /**
   * Gives the program its built-ins anew; false when a program has nailed something else to their
   * names, or stopped it.
   */
  #install(lengthChars: number): boolean {
    const done = this.#vm
      .newNumber(lengthChars)
      .consume((length) => this.#callBridge('install', length));
    done?.dispose();
    return done !== undefined;
  }

  #evaluate(program: { readonly code: string; readonly callNumber: number }): MachineEnd {
    const vm = this.#vm;
    const { code, callNumber } = program;
    const fileName = `call-${callNumber}.js`;
    let result = vm.evalCode(persistDeclarations(code), fileName, evalAsync);
    // A program that does not parse after our edits is shown its own text's error, or runs as it
    // was written.
    if (result.error && this.#isSyntaxError(result.error)) {
      result.error.dispose();
      result = vm.evalCode(code, fileName, evalAsync);
    }
    if (result.error) return this.#failed(result.error, program);
    return this.#settled(result.value, program, true);
  }

  /** The global variables that programs have made. */
  names(): readonly string[] {
    const text = this.#callBridge('names');
    if (text === undefined) return [];
    const names: unknown = JSON.parse(this.#take(text));
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
  }

  /**
   * Whether variables leave the next program too little to work with. The engine's own figures know
   * no sizes (see `quickjs.ts`), so it is tried: asked only when the memory has grown as far as it
   * may.
   */
  #isFull(): boolean {
    const bytes = Math.floor(this.#limits.memoryBytes * memoryShareToWork);
    const tried = this.#vm.evalCode(`new ArrayBuffer(${bytes}).byteLength`, 'memory.js');
    if (tried.error) tried.error.dispose();
    else tried.value.dispose();
    return tried.error !== undefined;
  }

  #reset(): void {
    this.#bridge.dispose();
    this.#vm.dispose();
    this.#vm = this.#runtime.newContext();
    this.#bridge = this.#createBridge();
  }

  #createBridge(): QuickJSHandle {
    const vm = this.#vm;
    const host = vm.newFunction('host', (method, args) =>
      vm.newString(this.#owner.call(vm.getString(method), vm.getString(args))),
    );
    const take = vm.newFunction('take', () =>
      this.#engine.texts.newString(vm, this.#owner.takeBytes()),
    );
    const limits = vm.newObject();
    const { maxOutputChars, maxAnswerChars, maxReadChars, maxQuestions } = this.#limits;
    const numbers = {
      outputChars: maxOutputChars,
      answerChars: maxAnswerChars,
      readChars: maxReadChars,
      questions: maxQuestions,
    };
    for (const [name, value] of Object.entries(numbers))
      vm.newNumber(value).consume((handle) => vm.setProp(limits, name, handle));
    const prelude = vm.unwrapResult(vm.evalCode(preludeSource, 'prelude.js'));
    const bridge = vm.unwrapResult(vm.callFunction(prelude, vm.undefined, host, take, limits));
    for (const handle of [host, take, limits, prelude]) handle.dispose();
    return bridge;
  }

  /**
   * Calls one of the prelude's functions; undefined when even that failed (memory, stack,
   * interrupt).
   */
  #callBridge(name: string, ...args: QuickJSHandle[]): QuickJSHandle | undefined {
    const method = this.#vm.getProp(this.#bridge, name);
    const result = this.#vm.callFunction(method, this.#vm.undefined, ...args);
    method.dispose();
    if (!result.error) return result.value;
    result.error.dispose();
    return undefined;
  }

  #take(handle: QuickJSHandle): string {
    return handle.consume((it) => this.#vm.getString(it));
  }

  #isSyntaxError(error: QuickJSHandle): boolean {
    return this.#vm.getProp(error, 'name').consume((it) => this.#vm.dump(it) === 'SyntaxError');
  }

  /**
   * Waits for a promise by running the jobs it hangs on. Nothing outside can settle it: host calls
   * block.
   */
  #settled(
    promise: QuickJSHandle,
    program: { readonly code: string; readonly callNumber: number },
    wrapped: boolean,
  ): MachineEnd {
    const jobs = this.#runtime.executePendingJobs();
    if (jobs.error) {
      promise.dispose();
      return this.#failed(jobs.error, program);
    }
    const state = this.#vm.getPromiseState(promise);
    if (state.type === 'pending') {
      promise.dispose();
      // A function that was stopped while it was awaited never settles its promise.
      const error = this.#stopReason ?? 'the program awaits a promise that nothing will settle';
      return { error };
    }
    if (state.type === 'rejected') {
      promise.dispose();
      return this.#failed(state.error, program);
    }
    const value = wrapped ? this.#vm.getProp(state.value, 'value') : state.value;
    if (wrapped) state.value.dispose();
    promise.dispose();
    // A last expression that is itself a promise: the program meant to await it.
    if (wrapped && this.#isPromise(value)) return this.#settled(value, program, false);
    return this.#shown(value);
  }

  #isPromise(handle: QuickJSHandle): boolean {
    if (this.#vm.typeof(handle) !== 'object') return false;
    const state = this.#vm.getPromiseState(handle);
    if (state.type === 'fulfilled' && state.notAPromise === true) return false;
    if (state.type === 'fulfilled') state.value.dispose();
    if (state.type === 'rejected') state.error.dispose();
    return true;
  }

  #shown(value: QuickJSHandle): MachineEnd {
    if (this.#vm.typeof(value) === 'undefined') {
      value.dispose();
      return {};
    }
    const text = this.#callBridge('show', value);
    value.dispose();
    if (text === undefined) return { error: this.#stopReason ?? 'the last value cannot be shown' };
    const shown = String(JSON.parse(this.#take(text)));
    const { maxOutputChars } = this.#limits;
    if (shown.length <= maxOutputChars) return { value: shown };
    const note = `[... cut: the value is longer than ${maxOutputChars} characters; look at parts of it ...]`;
    return { value: `${shown.slice(0, maxOutputChars).toWellFormed()}\n${note}` };
  }

  #failed(
    error: QuickJSHandle,
    program: { readonly code: string; readonly callNumber: number },
  ): MachineEnd {
    if (this.#stopReason !== undefined) {
      error.dispose();
      return { error: this.#stopReason };
    }
    const text = this.#callBridge('failure', error);
    error.dispose();
    if (text === undefined)
      return { error: this.#stopReason ?? 'the program ended with an error that cannot be read' };
    return { error: describeFailure(JSON.parse(this.#take(text)) as Failure, program) };
  }
}
