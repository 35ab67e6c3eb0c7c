import { render } from 'preact';
render(<p>{'RLM-OpenCode'}</p>, document.getElementById('page') as HTMLElement);
