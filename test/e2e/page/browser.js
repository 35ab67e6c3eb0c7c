// The types of playwright-core need those of a page, which the rest of the tests must not see:
// browser.d.ts says what is used of it.
export { chromium } from 'playwright-core';
