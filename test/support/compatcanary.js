// Behind types of our own (compatcanary.d.ts), because it publishes none.
export { scanEndpoint } from 'compatcanary';
