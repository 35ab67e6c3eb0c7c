import { Random } from './random.ts';

/** Marks the one needle of a {@link corpusText}, at 73 % of the text. */
export const corpusNeedle = 'needle-3fa9c01d';

const syllables =
  'con,dat,user,load,get,set,err,log,ser,req,res,tok,id,map,list,node,val,key,run,job,path,file,time,num,idx'.split(
    ',',
  );
const verbs =
  'get,set,load,save,parse,create,update,remove,handle,resolve,render,fetch,open,close,check,merge'.split(
    ',',
  );
const prose = [
  '今天的部署已经完成',
  '请检查日志文件',
  '用户反馈页面加载缓慢',
  '数据库连接池已满',
  '重新启动服务之后恢复正常',
  '下一步需要优化查询',
];
const emoji = ['🚀', '✅', '😀', '👩‍💻', '🔥'];
const levels = ['INFO', 'INFO', 'INFO', 'DEBUG', 'WARN', 'ERROR'];

/**
 * Text as a coding assistant gathers it: seeded, endless pieces of 2 to 60 KB in random order, 55 %
 * source code, 16 % logs, 12 % JSON lines, 3 % web routes, 14 % Chinese prose with emoji. In random
 * order, because that is hard for an index.
 */
export class CorpusText {
  readonly #random: Random;
  readonly #names: readonly string[];

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#names = Array.from({ length: 6_000 }, () => this.#newName());
  }

  /** The next piece: whole lines. */
  next(): string {
    const lengthChars = this.#random.between(2_000, 60_000);
    const line = this.#kind();
    let text = '';
    while (text.length < lengthChars) text += line();
    return text;
  }

  #kind(): () => string {
    const percent = this.#random.below(100);
    if (percent < 55) return () => this.#code();
    if (percent < 71) return () => this.#log();
    if (percent < 83) return () => this.#json();
    if (percent < 86) return () => this.#route();
    return () => this.#prose();
  }

  #newName(): string {
    const random = this.#random;
    const tail = random.pick(syllables);
    return `${random.pick(verbs)}${capital(random.pick(syllables))}${capital(tail)}${random.below(9) === 0 ? random.below(100) : ''}`;
  }

  /** Few names are common and most are rare, as in code. */
  #name(): string {
    const random = this.#random;
    const spread = random.below(this.#names.length);
    return this.#names[Math.floor((spread * random.below(1_000)) / 1_000)]!;
  }

  #code(): string {
    const random = this.#random;
    switch (random.below(16)) {
      case 0:
        return `export function ${this.#name()}(${this.#name()}: string, options: Options = {}): Promise<void> {\n`;
      case 1:
        return `  const ${this.#name()} = await ${this.#name()}(${this.#name()}, { timeout: ${random.below(9_000)} });\n`;
      case 2:
        return `  if (${this.#name()} !== undefined && ${this.#name()}.length > ${random.below(100)}) return ${this.#name()};\n`;
      case 3:
        return `    throw new TypeError(\`unexpected ${this.#name()}: \${${this.#name()}}\`);\n`;
      case 4:
        return `import { ${this.#name()}, ${this.#name()} } from './${this.#name()}.js';\n`;
      case 5:
        return '  }\n\n';
      case 6:
        return `  // The ${this.#name()} is needed when the ${this.#name()} has been changed by another caller.\n`;
      case 7:
        return `  for (const ${this.#name()} of this.${this.#name()}.values()) {\n`;
      case 8:
        return `    this.${this.#name()}.push(${this.#name()}(${random.below(1_000)}, '${random.hex()}'));\n`;
      case 9:
        return random.below(400) === 0
          ? `  const [${this.#name()}, set${random.below(99)}] = useState(${random.below(10)});\n`
          : `  return ${this.#name()} ?? ${this.#name()};\n`;
      case 10:
        return random.below(3_000) === 0
          ? `  const digest = createHash('sha256').update(${this.#name()}).digest('hex');\n`
          : `  let ${this.#name()} = ${random.below(1_000)};\n`;
      case 11:
        return random.below(60) === 0
          ? `const wrap${random.below(99)} = function (${this.#name()}) { return ${this.#name()}; };\n`
          : `      ${this.#name()}: ${this.#name()},\n`;
      case 12:
        return ` * @param {string} ${this.#name()} contact <${this.#name()}${random.below(99)}@example.org>\n`;
      default:
        return `    ${this.#name()}.${this.#name()}(${this.#name()}, ${random.below(100)});\n`;
    }
  }

  #log(): string {
    const random = this.#random;
    const at = `2026-${two(random.between(1, 12))}-${two(random.between(1, 28))}T${two(random.below(24))}:${two(random.below(60))}:${two(random.below(60))}.${random.between(100, 999)}Z`;
    const head = `${at} ${random.pick(levels)} [${this.#name()}]`;
    switch (random.below(8)) {
      case 0:
        return `${head} upstream timed out after ${random.below(30_000)} ms host=10.${random.below(256)}.${random.below(256)}.${random.below(256)}\n`;
      case 1:
        return `${head} TypeError: Cannot read properties of undefined (reading '${this.#name()}')\n`;
      default:
        return `${head} request id=${random.hex()}${random.hex()} user_${random.below(100_000)} path=/api/${this.#name()}/${random.below(10_000)} status=${random.pick(['200', '200', '404', '500'])} trace=${random.hex()}\n`;
    }
  }

  #json(): string {
    const random = this.#random;
    return `{"id":${random.below(1_000_000)},"name":"${this.#name()}","hash":"${random.hex()}","tags":["${this.#name()}","${this.#name()}"],"ok":${random.below(2) === 0},"score":${random.below(1_000)}}\n`;
  }

  #route(): string {
    const random = this.#random;
    const verb = random.pick(['get', 'post', 'put', 'delete']);
    const place = random.below(20) === 0 ? 'billing' : this.#name();
    return `@app.${verb}("/${place}/{item_id}")\nasync def ${this.#name()}_${random.below(1_000)}(item_id: int, q: str = None):\n    return {"item_id": item_id, "q": ${random.below(100)}}\n\n`;
  }

  #prose(): string {
    const random = this.#random;
    const login = random.below(20_000) === 0 ? '用户登录失败' : '';
    return `${random.pick(prose)}，${random.pick(prose)}${login}。${random.pick(emoji)} ${this.#name()} ${random.below(100)}%\n`;
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
