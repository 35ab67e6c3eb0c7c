import { enableCompileCache } from 'node:module';

/**
 * Before each file of tests: what threads and commands load is compiled once, as it is where the
 * program is installed.
 */
enableCompileCache(process.env['NODE_COMPILE_CACHE']);
