import type { Ids } from '../clock.ts';
import type { PageFile, PageHandler } from '../http/handlers.ts';
import type { OwnerPage, OwnerPageParts } from './owner-page.ts';
import type { CodeUse, PageAccess } from './page-access.ts';

/** The page, and the way into it. */
export interface LatePage extends PageHandler {
  /** A code for a link to the page, and how long it is good, milliseconds. */
  readonly newCode: (use: CodeUse) => Promise<{ readonly code: string; readonly lifeMs: number }>;
}

/**
 * The owner's page, loaded when it is first asked for: most servers are looked at by nobody. Where
 * no code was ever asked for, no cookie can be good, and strangers have nothing loaded but the
 * page's files.
 */
export function latePage(parts: OwnerPageParts & { readonly ids: Ids }): LatePage {
  let files: Promise<ReadonlyMap<string, PageFile>> | undefined;
  let access: PageAccess | undefined;
  let page: Promise<OwnerPage> | undefined;
  const opened = async (): Promise<OwnerPage> =>
    (page ??= import('./owner-page.ts').then(({ OwnerPage: Page }) => new Page(parts)));
  return {
    file: async (name) => {
      files ??= import('./page-files.ts').then(async ({ readPageFiles }) => readPageFiles());
      try {
        return (await files).get(name);
      } catch (error) {
        // It may be built by the next time.
        files = undefined;
        throw error;
      }
    },
    newCode: async (use) => {
      const { PageAccess: Access, codeLifeMs } = await import('./page-access.ts');
      access ??= new Access({ ...parts, ownUser: process.getuid?.() });
      return { code: access.newCode(use), lifeMs: codeLifeMs };
    },
    enter: async (...args) => access?.enter(...args),
    admits: async (...args) => (await access?.admits(...args)) ?? false,
    read: async (call) => (await opened()).read(call),
    events: async function* (signal) {
      yield* (await opened()).events(signal);
    },
  };
}
