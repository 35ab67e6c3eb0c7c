import { vi } from 'vitest';
import { realFiles } from '../../../src/store/disk/files.ts';
import { type Fault, faultyFiles, type WriteCall } from '../../faults/faulty-files.ts';

const writing = ['open', 'createExclusive', 'rename', 'makeDirectory', 'syncDirectory'] as const;

/**
 * The disk of the stores fails from now on for whatever runs in this process, until mocks are
 * restored: {@link CliHome.runHere} does that behind a command.
 */
export function failDisk(decide: (call: WriteCall) => Fault): void {
  const { files } = faultyFiles(decide);
  for (const name of writing) vi.spyOn(realFiles, name).mockImplementation(files[name]);
}
