import { render } from 'preact'
import { App } from './app'
import { startLive } from './live'
import { startRouter } from './router'
import { applySettings } from './settings'
import './styles/tokens.css'
import './styles/controls.css'
import './styles/layout.css'
import './styles/pages.css'
import './styles/rules.css'

applySettings()
startRouter()
startLive()
render(<App />, document.getElementById('app')!)
