/** What the tests of the page use of playwright-core. */
export interface Locator {
  first(): Locator;
  nth(index: number): Locator;
  count(): Promise<number>;
  waitFor(): Promise<void>;
  focus(): Promise<void>;
  click(): Promise<void>;
  getAttribute(name: string): Promise<string | null>;
}

export interface Page {
  on(event: 'dialog', handle: (dialog: Dialog) => void): void;
  on(event: 'pageerror', handle: (error: Error) => void): void;
  on(event: 'console', handle: (line: { type(): string; text(): string }) => void): void;
  on(event: 'request', handle: (request: { url(): string }) => void): void;
  goto(url: string): Promise<unknown>;
  reload(): Promise<unknown>;
  screenshot(options: { readonly path: string }): Promise<unknown>;
  url(): string;
  context(): { close(): Promise<void> };
  evaluate(script: string): Promise<unknown>;
  getByText(text: string): Locator;
  getByRole(role: string, options: { readonly name: string }): Locator;
  locator(selector: string, options?: { readonly hasText: string }): Locator;
  readonly keyboard: { press(key: string): Promise<void>; type(text: string): Promise<void> };
}

export interface Browser {
  newContext(options: {
    readonly viewport: { readonly width: number; readonly height: number };
    readonly colorScheme: 'light' | 'dark';
  }): Promise<{ newPage(): Promise<Page> }>;
  close(): Promise<void>;
}

interface Dialog {
  message(): string;
  dismiss(): Promise<void>;
}

export const chromium: {
  launch(options: {
    readonly executablePath: string;
    readonly args: readonly string[];
  }): Promise<Browser>;
};
