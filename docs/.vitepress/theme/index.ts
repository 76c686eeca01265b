/** VitePress' own theme in the colours and type of the page (demo/). */
import theme from 'vitepress/theme-without-fonts';
import './style.css';

export default theme;
