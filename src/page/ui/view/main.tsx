import { render } from 'preact';
import { App } from './app.tsx';
import { Live } from './live.ts';

const live = new Live();
render(<App live={live} />, document.getElementById('page') as HTMLElement);
void live.open();
