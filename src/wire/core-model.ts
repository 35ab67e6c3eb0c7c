/**
 * The model name that stands for whatever upstream is configured, in every client's configuration.
 */
export const coreModelId = 'rlm-internal.rlm-core-v1';
