import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { applyTheme, savedTheme } from './common/theme';
import './styles/base.css';
import './styles/list.css';
import './styles/filter.css';
import './styles/detail.css';
import './styles/stats.css';

applyTheme(savedTheme());
const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
