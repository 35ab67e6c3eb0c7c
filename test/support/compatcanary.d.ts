/** What CompatCanary found. */
export interface CanaryReport {
  readonly score: number;
  readonly compatible: boolean;
  readonly results: readonly { readonly name: string; readonly status: string }[];
}

/** Runs its probes against an endpoint. */
export declare function scanEndpoint(options: {
  readonly baseUrl: string;
  readonly model: string;
  readonly profile: 'chat' | 'modern';
}): Promise<CanaryReport>;
